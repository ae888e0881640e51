//! This module runs every check of the manifests and prints one line each, then `N passed, N failed, N skipped`.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::{
    assemble, guide,
    object::{Object, text},
    render,
    rules::{self, Facts, RULES, RuleScope, Waiver, overlays},
    settings,
    tools::{self, ToolRun},
    world::{Application, RenderedEnvironment},
};

/// Results in the order of the checks.
#[derive(Debug, Default)]
struct Report {
    results: Vec<(String, ToolRun)>,
}

impl Report {
    fn add(&mut self, name: impl Into<String>, outcome: ToolRun) {
        let name = name.into();
        match &outcome {
            ToolRun::Passed => println!("ok       {name}"),
            ToolRun::Failed(text) => println!("FAILED   {name}\n         {}", text.replace('\n', "\n         ")),
            ToolRun::Skipped(reason) => println!("skipped  {name}: {reason}"),
        }
        self.results.push((name, outcome));
    }

    fn found(&mut self, name: impl Into<String>, faults: &[String]) {
        self.add(name, if faults.is_empty() { ToolRun::Passed } else { ToolRun::Failed(faults.join("\n")) });
    }

    /// A skipped check passes on a laptop. In CI it fails, unless `deploy/skips` lists it.
    fn close(self, permitted: Option<&[String]>) -> bool {
        let count = |kind: fn(&ToolRun) -> bool| self.results.iter().filter(|(_, outcome)| kind(outcome)).count();
        let mut failed = count(|outcome| matches!(outcome, ToolRun::Failed(_)));
        let skipped: Vec<&String> =
            self.results.iter().filter(|(_, outcome)| matches!(outcome, ToolRun::Skipped(_))).map(|(name, _)| name).collect();
        for name in &skipped {
            if permitted.is_some_and(|permitted| !permitted.contains(name)) {
                println!("FAILED   {name}: skipped in CI; install what it needs, or list it in deploy/skips with a reason");
                failed += 1;
            }
        }
        println!("{} passed, {failed} failed, {} skipped", count(|outcome| *outcome == ToolRun::Passed), skipped.len());
        failed == 0
    }
}

/// Checks everything. Returns whether all checks passed.
///
/// # Errors
/// Returns an error if the tree cannot be assembled or rendered at all.
pub fn check_repository(repository: &Path, programs: &Path) -> Result<bool> {
    let mut report = Report::default();
    let scratch = tempfile::tempdir()?;
    let tree = scratch.path().join("tree");
    assemble::tree(repository, &tree)?;
    let kubectl = render::kubectl(repository);
    let mut facts = facts(repository)?;
    match settings::of_programs(programs) {
        Ok(settings) => facts.settings = settings,
        Err(error) => report.add("settings of the programs", ToolRun::Failed(format!("{error:#}"))),
    }
    let mut worlds = Vec::new();
    for environment in crate::ENVIRONMENTS {
        match render::render_environment(&kubectl, &tree, environment) {
            Ok(world) => {
                let count = world.objects().count();
                report.add(format!("{environment} renders: {count} objects"), ToolRun::Passed);
                worlds.push(world);
            }
            Err(error) => report.add(format!("{environment} renders"), ToolRun::Failed(format!("{error:#}"))),
        }
    }
    let infrastructure = parts(&kubectl, &tree, &mut report)?;
    facts.registry = worlds
        .iter()
        .find_map(|world| world.find("ConfigMap", "image-registry"))
        .map_or_else(String::new, |map| text(&map.0, "/data/registry").to_owned());
    judge(repository, &worlds, &infrastructure, &facts, &mut report)?;
    components(&kubectl, &tree, &worlds, &facts, &mut report)?;
    custom_resources(repository, worlds.iter().chain([&infrastructure]), scratch.path(), &mut report)?;
    checkers(repository, programs, worlds.iter().chain([&infrastructure]), scratch.path(), &mut report)?;
    guides(repository, &guide::Places { repository, tree: &tree, programs: &repository.join(programs) }, &mut report)?;
    let permitted = in_ci().then(|| permitted(repository)).transpose()?;
    Ok(report.close(permitted.as_deref()))
}

#[expect(clippy::disallowed_methods, reason = "CI is not a setting of a program")]
fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
}

#[expect(clippy::disallowed_methods, reason = "the test material's folder is not a setting of a program")]
fn shared_data() -> Option<PathBuf> {
    std::env::var_os("SHARED_DATA").map(PathBuf::from)
}

/// Names of checks that may be skipped in CI: lines `<name>: <reason>`.
fn permitted(repository: &Path) -> Result<Vec<String>> {
    let text = fs::read_to_string(repository.join("deploy/skips")).context("reading deploy/skips")?;
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    Ok(lines.filter_map(|line| line.split_once(": ")).map(|(name, _)| name.to_owned()).collect())
}

/// What `dashboards/` must become.
///
/// # Errors
/// Returns an error if `dashboards/` cannot be read.
pub fn facts(repository: &Path) -> Result<Facts> {
    let dashboards = repository.join("dashboards");
    let rules = assemble::rule_files(&dashboards)?.iter().map(|file| assemble::object_name(file)).collect();
    Ok(Facts { rules, boards: assemble::board_files(&dashboards)?, ..Facts::default() })
}

/// Renders every kustomization of `infrastructure`.
fn parts(kubectl: &Path, tree: &Path, report: &mut Report) -> Result<RenderedEnvironment> {
    let mut applications = Vec::new();
    for (name, rendered) in infrastructure(kubectl, tree)? {
        match rendered {
            Ok(objects) => {
                report.add(format!("{name} renders: {} objects", objects.len()), ToolRun::Passed);
                applications.push(part(name, objects));
            }
            Err(error) => report.add(format!("{name} renders"), ToolRun::Failed(format!("{error:#}"))),
        }
    }
    Ok(RenderedEnvironment { environment: "infrastructure".to_owned(), applications })
}

fn part(name: String, objects: Vec<Object>) -> Application {
    Application { declared: Object(serde_json::Value::Null), name, wave: 0, objects }
}

/// The objects of each kustomization of `infrastructure`, or why it does not render.
fn infrastructure(kubectl: &Path, tree: &Path) -> Result<Vec<(String, Result<Vec<Object>>)>> {
    let name = |folder: &Path| folder.strip_prefix(tree).unwrap_or(folder).display().to_string();
    let folders = kustomizations(&tree.join("infrastructure"))?;
    Ok(folders.iter().map(|folder| (name(folder), render::kustomize(kubectl, folder))).collect())
}

/// The backing services of an assembled tree.
///
/// # Errors
/// Returns an error if a kustomization does not render.
pub fn backing_services(kubectl: &Path, tree: &Path) -> Result<RenderedEnvironment> {
    let parts = infrastructure(kubectl, tree)?.into_iter().map(|(name, objects)| Ok(part(name, objects?)));
    Ok(RenderedEnvironment { environment: "infrastructure".to_owned(), applications: parts.collect::<Result<_>>()? })
}

fn kustomizations(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let file = folder.join("kustomization.yaml");
    if file.exists() && fs::read_to_string(&file)?.contains("kind: Kustomization") {
        found.push(folder.to_owned());
    }
    let mut children = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    children.sort();
    for child in children.into_iter().filter(|child| child.is_dir()) {
        found.extend(kustomizations(&child)?);
    }
    Ok(found)
}

/// Renders each optional component on top of staging's exchange, and judges the environment that has it.
fn components(kubectl: &Path, tree: &Path, worlds: &[RenderedEnvironment], facts: &Facts, report: &mut Report) -> Result<()> {
    let base = tree.join("overlays/staging/base/components");
    for entry in fs::read_dir(&base)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let folder = tree.join("overlays/staging").join(format!("with-{name}"));
        fs::create_dir_all(&folder)?;
        fs::write(
            folder.join("kustomization.yaml"),
            format!("resources: [../exchange]\ncomponents: [../base/components/{name}]\n"),
        )?;
        let rendered = match render::kustomize(kubectl, &folder) {
            Ok(rendered) => rendered,
            Err(error) => {
                report.add(format!("component {name} renders"), ToolRun::Failed(format!("{error:#}")));
                continue;
            }
        };
        report.add(format!("component {name} renders"), ToolRun::Passed);
        let Some(mut world) = worlds.iter().find(|world| world.environment == "staging").cloned() else { continue };
        if let Some(exchange) = world.applications.iter_mut().find(|application| application.name == "exchange") {
            exchange.objects = rendered;
        }
        let rules = RULES.iter().filter(|rule| matches!(rule.scope, RuleScope::Environment | RuleScope::Every));
        let own = |world: &RenderedEnvironment| -> Vec<String> {
            let found = rules.clone().flat_map(|rule| (rule.find)(world, facts).into_iter().map(move |fault| (rule.name, fault)));
            found.map(|(rule, fault)| format!("{rule}: {}: {}", fault.object, fault.text)).collect()
        };
        // Faults of the environment itself are reported, or excused, elsewhere.
        let before = worlds.iter().find(|world| world.environment == "staging").map(own).unwrap_or_default();
        let faults: Vec<String> = own(&world).into_iter().filter(|fault| !before.contains(fault)).collect();
        report.found(format!("component {name} follows the rules"), &faults);
    }
    Ok(())
}

fn judge(
    repository: &Path,
    worlds: &[RenderedEnvironment],
    infrastructure: &RenderedEnvironment,
    facts: &Facts,
    report: &mut Report,
) -> Result<()> {
    let folder = repository.join("deploy/manifests");
    let waivers = rules::waivers(&folder.join("waivers.yaml"))?;
    let mut used = vec![false; waivers.len()];
    let whole: Vec<RenderedEnvironment> = worlds.iter().map(|world| world.with(infrastructure)).collect();
    let own = worlds.iter().map(|world| (world, [RuleScope::Environment, RuleScope::Every].as_slice()));
    let together = whole.iter().map(|world| (world, [RuleScope::Whole].as_slice()));
    for (world, scopes) in own.chain(together).chain([(infrastructure, [RuleScope::Every].as_slice())]) {
        let rules = RULES.iter().filter(|rule| scopes.contains(&rule.scope));
        let (results, here) = rules::judge(world, facts, &waivers, rules);
        used.iter_mut().zip(here).for_each(|(used, here)| *used |= here);
        for (rule, faults) in results {
            let faults: Vec<String> = faults.iter().map(|fault| format!("{}: {}", fault.object, fault.text)).collect();
            report.found(format!("{}: {rule}", world.environment), &faults);
        }
    }
    let idle = waivers.iter().zip(&used).filter(|(_, used)| !**used).map(|(waiver, _): (&Waiver, _)| waiver);
    report.found(
        "every waiver excuses a fault",
        &idle.map(|waiver| format!("{}: {}", waiver.object, waiver.contains)).collect::<Vec<_>>(),
    );
    let allowed: Vec<overlays::OverlayDifference> =
        serde_yaml_ng::from_str(&fs::read_to_string(folder.join("differences.yaml"))?)?;
    if let [one, other] = worlds {
        let faults = overlays::differences(one, other, &allowed);
        let faults: Vec<String> = faults.iter().map(|fault| format!("{}: {}", fault.object, fault.text)).collect();
        report.found("environments differ only where differences.yaml allows it", &faults);
    }
    Ok(())
}

fn custom_resources<'a>(
    repository: &Path,
    worlds: impl Iterator<Item = &'a RenderedEnvironment>,
    scratch: &Path,
    report: &mut Report,
) -> Result<()> {
    let mut kinds: BTreeMap<(String, String), Vec<&Object>> = BTreeMap::new();
    for (_, object) in worlds.flat_map(RenderedEnvironment::objects) {
        kinds.entry((text(&object.0, "/apiVersion").to_owned(), object.kind().to_owned())).or_default().push(object);
    }
    let mut schemas = tools::schemas(&repository.join("deploy/cluster/crds"))?;
    let Some(archive) = shared_data().map(|folder| folder.join("crds.tar.gz")) else {
        report.add(
            "custom resources",
            ToolRun::Skipped("SHARED_DATA is not set; set it to the folder with crds.tar.gz".to_owned()),
        );
        return Ok(());
    };
    let folder = scratch.join("crds");
    fs::create_dir_all(&folder)?;
    let unpacked = std::process::Command::new("tar").arg("-xzf").arg(&archive).arg("-C").arg(&folder).status()?;
    anyhow::ensure!(unpacked.success(), "{} cannot be unpacked", archive.display());
    schemas.extend(tools::schemas(&folder)?);
    for ((version, kind), objects) in kinds {
        let Some((_, _, schema)) = schemas.iter().find(|(of, named, _)| *of == version && *named == kind) else { continue };
        let outcome = tools::against_schema(repository, schema, &objects, &scratch.join(format!("schema-{kind}")))?;
        report.add(format!("{kind} against its definition: {} objects", objects.len()), outcome);
    }
    Ok(())
}

/// Commands and paths of the guides and of every README of the deployment.
fn guides(repository: &Path, places: &guide::Places<'_>, report: &mut Report) -> Result<()> {
    let (mut runbooks, mut faults) = (0, Vec::new());
    for file in guide::guide_files(repository)? {
        let name = file.display().to_string();
        let text = fs::read_to_string(repository.join(&file)).with_context(|| format!("reading {name}"))?;
        let found = guide::faults(&text, places);
        if name.starts_with("dashboards/") {
            runbooks += 1;
            faults.extend(found.into_iter().map(|fault| format!("{name}: {fault}")));
        } else {
            report.found(format!("{name}: what it names exists"), &found);
        }
    }
    report.found(format!("{runbooks} runbooks: what they name exists"), &faults);
    Ok(())
}

/// Other projects' checkers, each with its package.
fn checkers<'a>(
    repository: &Path,
    programs: &Path,
    worlds: impl Iterator<Item = &'a RenderedEnvironment>,
    scratch: &Path,
    report: &mut Report,
) -> Result<()> {
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let venv = |name: &str| tools::python(repository, name);
    let mut check = |name: &str, program: PathBuf, arguments: Vec<String>, package: &str| {
        // `env` itself exists; 127 is its status for a program that does not.
        let outcome = match tools::run_tool(&program, &arguments, repository, package) {
            ToolRun::Failed(text) if text.contains("No such file or directory") && program == Path::new("env") => {
                ToolRun::Skipped(format!("{text}; run: {package}"))
            }
            outcome => outcome,
        };
        report.add(name, outcome);
    };
    check("yamllint", venv("yamllint"), words("--strict -c deploy/yamllint.yaml deploy .gitlab-ci.yml"), "make install");
    check("hadolint", venv("hadolint"), words("--config deploy/docker/hadolint.yaml deploy/docker/Dockerfile"), "make install");
    for pipeline in [".gitlab-ci.yml", "deploy/ci/release.yml"] {
        // check-jsonschema reads one document; a template's `spec` is the first of two.
        let text = fs::read_to_string(repository.join(pipeline))?;
        let body = text.rsplit("\n---\n").next().unwrap_or(&text);
        let file = scratch.join(pipeline.replace('/', "-"));
        fs::write(&file, body)?;
        let arguments = vec!["--builtin-schema".to_owned(), "vendor.gitlab-ci".to_owned(), file.display().to_string()];
        check(&format!("{pipeline} against GitLab's schema"), venv("check-jsonschema"), arguments, "make install");
    }
    let rules = scratch.join("rules");
    fs::create_dir_all(&rules)?;
    let mut arguments = words("check rules");
    // Both environments have the same rules under the same names.
    for (_, object) in worlds.flat_map(RenderedEnvironment::objects).filter(|(_, object)| object.kind() == "PrometheusRule") {
        let file = rules.join(format!("{}.yml", object.name()));
        if !file.exists() {
            arguments.push(file.display().to_string());
        }
        fs::write(&file, serde_yaml_ng::to_string(&object.0["spec"])?)?;
    }
    check("promtool reads the rendered rules", "promtool".into(), arguments, "make install");
    fs::copy(repository.join("deploy/infrastructure/haproxy/rules-test.yml"), rules.join("rules-test.yml"))?;
    let tests = rules.join("rules-test.yml").display().to_string();
    check(
        "the rules about the database's roles",
        "promtool".into(),
        vec!["test".to_owned(), "rules".to_owned(), tests],
        "make install",
    );
    check(
        "amtool reads Alertmanager's configuration",
        "amtool".into(),
        words("check-config alertbot/alertmanager.example.yml"),
        "make install",
    );
    let haproxy = "POSTGRESQL_0=127.0.0.1:1 POSTGRESQL_1=127.0.0.1:2 POSTGRESQL_2=127.0.0.1:3 haproxy -c -q -f deploy/infrastructure/haproxy/haproxy.cfg";
    check("HAProxy reads its configuration", "env".into(), words(haproxy), "apt-get install haproxy");
    let logship = repository.join(programs).join("logship").display().to_string();
    let arguments = ["LOGSHIP_DECLARED=logship-config/elasticsearch".to_owned(), logship, "check".to_owned()];
    check("logship reads the declared lifecycles", "env".into(), arguments.to_vec(), "make build");
    for environment in crate::ENVIRONMENTS {
        let file = format!("deploy/overlays/{environment}/alertbot/alertbot.yaml");
        let arguments = ["ALERTBOT_WEBHOOK_TOKEN=check", "ALERTBOT_TELEGRAM_TOKEN=7000001:check"].map(str::to_owned).into_iter();
        let program = repository.join(programs).join("alertbot").display().to_string();
        let arguments = arguments.chain([program, "check".to_owned(), "--config".to_owned(), file.clone()]).collect();
        check(&format!("the alert bot reads {file}"), "env".into(), arguments, "make build");
    }
    Ok(())
}
