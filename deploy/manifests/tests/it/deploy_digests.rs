//! Releases into a bare manifests repository: bad input, races, order of commits, what may change.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Output,
    sync::LazyLock,
};

use manifests::assemble;

use crate::source::{must, repository, run};

const OTHER: &str = "1111111111111111111111111111111111111111";

/// A checkout of sources with three commits, and a bare manifests repository.
struct World {
    folder: tempfile::TempDir,
    commits: [String; 3],
}

/// Built once: copying and rendering take most of the time.
static SEED: LazyLock<World> = LazyLock::new(World::build);

impl World {
    fn build() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let source = folder.path().join("source");
        fs::create_dir_all(&source).expect("created");
        for part in ["deploy/base", "dashboards", "logship-config/fluent-bit"] {
            fs::create_dir_all(source.join(part).parent().expect("a parent")).expect("created");
            must(&repository(), "cp", &["-r", part, &source.join(part).display().to_string()]);
        }
        git(&source, &["init", "--quiet", "--initial-branch=main"]);
        let mut commits = Vec::new();
        for number in 0..3 {
            fs::write(source.join("deploy/base/foundation/number.txt"), format!("{number}\n")).expect("written");
            git(&source, &["add", "--all"]);
            git(&source, &["commit", "--quiet", "--message", "one more"]);
            commits.push(git(&source, &["rev-parse", "HEAD"]));
        }
        let first = folder.path().join("first");
        assemble::tree(&repository(), &first).expect("assembled");
        for environment in ["staging", "production"] {
            // The digests that `mirror` prints.
            let images = first.join("overlays").join(environment).join("images/kustomization.yaml");
            let text = fs::read_to_string(&images).expect("read").replace(&"0".repeat(64), &"f".repeat(64));
            fs::write(&images, text).expect("written");
        }
        fill(&first.join("infrastructure"));
        fs::write(first.join("owned-by-people.txt"), "untouched\n").expect("written");
        git(&first, &["init", "--quiet", "--initial-branch=main"]);
        git(&first, &["add", "--all"]);
        git(&first, &["commit", "--quiet", "--message", "start"]);
        must(folder.path(), "git", &["clone", "--quiet", "--bare", "first", "manifests.git"]);
        Self { folder, commits: commits.try_into().expect("three") }
    }

    /// A copy of the seed, to change.
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for part in ["source", "manifests.git"] {
            must(SEED.folder.path(), "cp", &["-r", part, &folder.path().display().to_string()]);
        }
        Self { folder, commits: SEED.commits.clone() }
    }

    fn bare(&self) -> PathBuf {
        self.folder.path().join("manifests.git")
    }

    fn digests(&self, text: &str) -> String {
        let file =
            tempfile::NamedTempFile::new_in(self.folder.path()).expect("a file").into_temp_path().keep().expect("retained");
        fs::write(&file, text).expect("written");
        file.display().to_string()
    }

    fn deploy(&self, arguments: &[&str]) -> Output {
        std::process::Command::new(env!("CARGO_BIN_EXE_manifests"))
            .arg("deploy-digests")
            .args(arguments)
            .current_dir(self.folder.path().join("source"))
            .env("MANIFESTS_REPOSITORY", format!("file://{}", self.bare().display()))
            .env("PATH", format!("{}:{}", repository().join(".venv/bin").display(), env_path()))
            .output()
            .expect("manifests")
    }

    fn release(&self, commit: usize, digit: char) -> Output {
        self.deploy(&["staging", &self.commits[commit], &self.digests(&digests(digit))])
    }

    /// A file of the branch that Argo CD watches.
    fn file(&self, path: &str) -> String {
        must(&self.bare(), "git", &["show", &format!("main:{path}")])
    }

    fn log(&self) -> Vec<String> {
        must(&self.bare(), "git", &["log", "--format=%s", "main"]).lines().map(str::to_owned).collect()
    }

    fn hook(&self, script: &str) {
        let path = self.bare().join("hooks/pre-receive");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("permitted");
    }
}

/// Writes digests as a person does, at any depth of a folder.
fn fill(folder: &Path) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            fill(&path);
        } else if let Ok(text) = fs::read_to_string(&path) {
            fs::write(&path, text.replace(&"0".repeat(64), &"f".repeat(64))).expect("written");
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the path of the test's own programs")]
fn env_path() -> String {
    std::env::var("PATH").unwrap_or_default()
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let mut all = vec!["-c", "user.name=test", "-c", "user.email=test@example.invalid", "-c", "commit.gpgSign=false"];
    all.extend(arguments);
    must(folder, "git", &all)
}

fn digests(digit: char) -> String {
    let digest = digit.to_string().repeat(64);
    ["alertbot", "backup", "exchange", "logship"]
        .map(|name| format!("{name} registry.example.com/exchange/{name}@sha256:{digest}\n"))
        .concat()
}

fn status(output: &Output) -> (i32, String) {
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.code().unwrap_or(-1), text.trim().to_owned())
}

#[test]
fn bad_input_gets_one_line_and_64() {
    let world = World::new();
    let commit = world.commits[0].clone();
    let good = digests('a');
    let line = |from: &str, to: &str| good.replacen(from, to, 1);
    let full = format!("exchange registry.example.com/exchange/exchange@sha256:{}", "a".repeat(64));
    let rows: Vec<(&str, &str, String, &str)> = vec![
        ("stagin", &commit, good.clone(), "unknown environment"),
        ("staging", "main", good.clone(), "full hash"),
        ("staging", &commit[..12], good.clone(), "full hash"),
        ("staging", OTHER, good.clone(), "lacks the commit"),
        ("staging", &commit, line(&full, "exchange registry.example.com/exchange/exchange:1.2"), "is a tag"),
        ("staging", &commit, line(&full, "exchange registry.example.com/exchange/exchange@sha256:abc"), "64 hexadecimal"),
        ("staging", &commit, line(&full, &full.replace("sha256:aa", "sha256:AA")), "64 hexadecimal"),
        ("staging", &commit, line(&full, &full.replace("@sha256:", "@md5:")), "not of the kind"),
        ("staging", &commit, line(&full, &full.replace(&"a".repeat(64), &"0".repeat(64))), "placeholder"),
        ("staging", &commit, line(&full, &full.replacen("exchange ", "exchang ", 1)), "unknown program"),
        ("staging", &commit, line(&full, &full.replace("/exchange@", "/alertbot@")), "is not <registry>"),
        ("staging", &commit, line(&full, ""), "lacks exchange"),
        ("staging", &commit, format!("{good}{full}\n"), "named twice"),
        ("staging", &commit, line(&full, "exchange"), "is not `<program>"),
    ];
    for (environment, commit, text, part) in rows {
        let (code, said) = status(&world.deploy(&[environment, commit, &world.digests(&text)]));
        assert_eq!((code, said.lines().count()), (64, 1), "{part}: {said}");
        assert!(said.contains(part), "{part}: {said}");
    }
    let (code, said) = status(&world.deploy(&["staging", &commit, "/nowhere/digests"]));
    assert!(code == 64 && said.contains("cannot be read"), "{said}");
    assert_eq!(world.deploy(&["staging"]).status.code(), Some(64));
    assert_eq!(world.log(), ["start"], "nothing was pushed");
}

#[test]
fn one_commit_has_all_images_and_the_base() {
    let world = World::new();
    let (code, said) = status(&world.release(1, 'a'));
    assert_eq!(code, 0, "{said}");
    assert_eq!(world.log(), [format!("staging: Deploy {}", &world.commits[1][..12]), "start".to_owned()]);
    let images = world.file("overlays/staging/release/images/kustomization.yaml");
    assert_eq!(images.matches(&"a".repeat(64)).count(), 4, "{images}");
    assert_eq!(world.file("overlays/staging/base/foundation/number.txt"), "1");
    let job = world.file("overlays/staging/release/migrate/kustomization.yaml");
    assert!(job.contains(&format!("nameSuffix: \"-{}\"", &world.commits[1][..12])), "{job}");
    let changed = must(&world.bare(), "git", &["diff", "--name-only", "main~", "main"]);
    let outside = changed
        .lines()
        .find(|path| !path.starts_with("overlays/staging/base/") && !path.starts_with("overlays/staging/release/"));
    assert_eq!(outside, None);
    assert_eq!(world.file("owned-by-people.txt"), "untouched");
}

#[test]
fn the_same_commit_again_changes_nothing() {
    let world = World::new();
    assert_eq!(status(&world.release(1, 'a')).0, 0);
    let (code, said) = status(&world.release(1, 'a'));
    assert!(code == 0 && said.contains("already: nothing to do"), "{said}");
    assert_eq!(world.log().len(), 2);
}

#[test]
fn an_older_commit_after_a_newer_one_does_nothing() {
    let world = World::new();
    assert_eq!(status(&world.release(2, 'c')).0, 0);
    let (code, said) = status(&world.release(0, 'a'));
    assert!(code == 0 && said.contains(&format!("at {} already: nothing to do", world.commits[2])), "{said}");
    assert_eq!(world.file("overlays/staging/release/commit"), world.commits[2]);
}

/// A revert in the manifests repository is a rollback; the next release goes forward from it.
#[test]
fn a_release_after_a_rollback_goes_forward() {
    let world = World::new();
    assert_eq!(status(&world.release(0, 'a')).0, 0);
    assert_eq!(status(&world.release(1, 'b')).0, 0);
    let checkout = world.folder.path().join("people");
    must(world.folder.path(), "git", &["clone", "--quiet", "manifests.git", "people"]);
    git(&checkout, &["revert", "--no-edit", "HEAD"]);
    git(&checkout, &["push", "--quiet"]);
    assert_eq!(world.file("overlays/staging/release/commit"), world.commits[0]);
    assert_eq!(status(&world.release(2, 'c')).0, 0);
    assert_eq!(world.file("overlays/staging/release/commit"), world.commits[2]);
}

/// Whichever of two pipelines finishes last, the newer commit is deployed with its own images and base.
#[test]
fn two_at_once_end_with_the_newer_commit() {
    for _ in 0..3 {
        let world = World::new();
        let (older, newer) = std::thread::scope(|scope| {
            let older = scope.spawn(|| world.release(0, 'a'));
            let newer = scope.spawn(|| world.release(2, 'c'));
            (older.join().expect("joined"), newer.join().expect("joined"))
        });
        assert_eq!((status(&older).0, status(&newer).0), (0, 0), "{older:?} {newer:?}");
        assert_eq!(world.file("overlays/staging/release/commit"), world.commits[2]);
        assert_eq!(world.file("overlays/staging/release/images/kustomization.yaml").matches(&"c".repeat(64)).count(), 4);
        assert_eq!(world.file("overlays/staging/base/foundation/number.txt"), "2");
    }
}

/// Another commit arrives between reading and pushing, each time.
#[test]
fn a_lost_race_is_decided_again_and_bounded() {
    let world = World::new();
    // The hook moves the branch, then refuses as a server does whose branch moved.
    world.hook(
        "read old new name\ntree=$(git rev-parse main^{tree})\ncount=$(cat count 2>/dev/null || echo 0)\necho $((count + 1)) > count\n\
         if [ $count -ge 2 ] && [ ! -e for-ever ]; then exit 0; fi\n\
         unset GIT_QUARANTINE_PATH\ncommit=$(git -c user.name=x -c user.email=x@x commit-tree -p main -m race $tree)\n\
         git update-ref refs/heads/main $commit\nexit 0",
    );
    let (code, said) = status(&world.release(1, 'a'));
    assert_eq!(code, 0, "{said}");
    assert_eq!(world.log().iter().filter(|subject| *subject == "race").count(), 2, "both other commits remain");
    fs::write(world.bare().join("for-ever"), "").expect("written");
    let (code, said) = status(&world.release(2, 'c'));
    assert_eq!(code, 69, "{said}");
    assert!(said.contains("arrived first 5 times"), "{said}");
}

#[test]
fn a_refused_push_is_69_with_the_servers_words() {
    let world = World::new();
    world.hook("echo 'protected branch: https://oauth2:s3cret@host/x' >&2; exit 1");
    let (code, said) = status(&world.release(1, 'a'));
    assert!(code == 69 && said.contains("protected branch"), "{said}");
    assert!(!said.contains("s3cret"), "{said}");
    assert_eq!(world.log(), ["start"]);
}

#[test]
fn an_unreachable_repository_is_69() {
    let world = World::new();
    fs::remove_dir_all(world.bare()).expect("removed");
    let (code, said) = status(&world.release(1, 'a'));
    assert!(code == 69 && said.contains("cannot be read"), "{said}");
}

#[test]
fn a_kustomization_that_people_broke_is_not_pushed() {
    let world = World::new();
    let checkout = world.folder.path().join("people");
    must(world.folder.path(), "git", &["clone", "--quiet", "manifests.git", "people"]);
    fs::write(checkout.join("overlays/staging/alertbot/kustomization.yaml"), "kind: Kustomization\nresources: [absent.yaml]\n")
        .expect("written");
    git(&checkout, &["commit", "--quiet", "--all", "--message", "break"]);
    git(&checkout, &["push", "--quiet"]);
    let (code, said) = status(&world.release(1, 'a'));
    assert!(code == 65 && said.contains("pushed nothing") && said.contains("absent.yaml"), "{said}");
    assert_eq!(world.log(), ["break", "start"]);
}

#[test]
fn a_shallow_clone_is_refused() {
    let world = World::new();
    let shallow = world.folder.path().join("shallow");
    let address = format!("file://{}", world.folder.path().join("source").display());
    must(world.folder.path(), "git", &["clone", "--quiet", "--depth=1", &address, "shallow"]);
    assert_eq!(status(&world.release(1, 'a')).0, 0);
    fs::rename(world.folder.path().join("source"), world.folder.path().join("whole")).expect("renamed");
    fs::rename(shallow, world.folder.path().join("source")).expect("renamed");
    let (code, said) = status(&world.release(2, 'c'));
    assert!(code == 64 && said.contains("GIT_DEPTH: 0"), "{said}");
}

#[test]
fn production_goes_by_a_branch_for_a_merge_request() {
    let world = World::new();
    let (code, said) =
        status(&world.deploy(&["production", &world.commits[1], &world.digests(&digests('a')), "--merge-request"]));
    // A plain bare repository does not know push options; GitLab does. The words are the server's.
    must(&world.bare(), "git", &["config", "receive.advertisePushOptions", "true"]);
    assert!(code == 69 && said.contains("push options"), "{said}");
    let (code, said) =
        status(&world.deploy(&["production", &world.commits[1], &world.digests(&digests('a')), "--merge-request"]));
    assert_eq!(code, 0, "{said}");
    let branch = format!("deploy/production/{}", &world.commits[1][..12]);
    assert_eq!(must(&world.bare(), "git", &["show", &format!("{branch}:overlays/production/release/commit")]), world.commits[1]);
    assert_eq!(world.log(), ["start"], "the branch of Argo CD is unchanged");
    assert!(run(&world.bare(), "git", &["rev-parse", "--verify", &branch]).status.success());
}

/// No image of another project has a digest before `mirror` ran: the pods of a release would never start.
#[test]
fn a_placeholder_digest_is_refused_before_the_push() {
    let world = World::new();
    let edit = world.folder.path().join("edit");
    must(world.folder.path(), "git", &["clone", "--quiet", "manifests.git", "edit"]);
    for environment in ["staging", "production"] {
        let images = edit.join("overlays").join(environment).join("images/kustomization.yaml");
        let text = fs::read_to_string(&images).expect("read").replacen(&"f".repeat(64), &"0".repeat(64), 1);
        fs::write(&images, text).expect("written");
    }
    git(&edit, &["commit", "--quiet", "--all", "--message", "as before mirror ran"]);
    git(&edit, &["push", "--quiet", "origin", "HEAD:main"]);
    let before = world.log();
    for environment in ["staging", "production"] {
        let (code, text) = status(&world.deploy(&[environment, &world.commits[0], &world.digests(&digests('a'))]));
        assert_eq!(code, 65, "{text}");
        let part = format!(
            "mirror/fluent-bit: the digest is the placeholder of zeros; run deploy/infrastructure/mirror and write its lines into overlays/{environment}/images"
        );
        assert!(text.contains(&part), "{text}");
    }
    assert_eq!(world.log(), before);
}

#[test]
fn a_backing_service_without_a_digest_blocks_the_release() {
    let world = World::new();
    let edit = world.folder.path().join("edit");
    must(world.folder.path(), "git", &["clone", "--quiet", "manifests.git", "edit"]);
    // An alternative that Argo CD does not install blocks nothing.
    for (file, code) in [("cloudnative-pg/cluster.yaml", 0), ("haproxy/kustomization.yaml", 65)] {
        let path = edit.join("infrastructure").join(file);
        let text = fs::read_to_string(&path).expect("read").replacen(&"f".repeat(64), &"0".repeat(64), 1);
        fs::write(&path, text).expect("written");
        git(&edit, &["commit", "--quiet", "--all", "--message", "a placeholder"]);
        git(&edit, &["pull", "--quiet", "--rebase", "origin", "main"]);
        git(&edit, &["push", "--quiet", "origin", "HEAD:main"]);
        let before = world.log();
        let (found, said) = status(&world.release(usize::from(code == 65), 'a'));
        assert_eq!(found, code, "{file}: {said}");
        if code == 65 {
            let part = "pushed nothing: infrastructure/haproxy/kustomization.yaml:16: the digest of";
            assert!(said.contains(part) && said.lines().count() == 1, "{said}");
            assert_eq!(world.log(), before, "nothing was pushed");
        }
    }
}
