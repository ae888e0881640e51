//! The viewer's pages of the runbooks.

use std::{fs, path::Path, process::Command};

const RENDER: &str = "import pathlib, sys; import server; file = pathlib.Path(sys.argv[1]); \
    print(server.rendered(file.read_text(), {other.stem for other in file.parent.glob('*.md')}))";

#[test]
fn every_link_of_a_runbook_is_a_link_on_its_page() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut linked = 0;
    for runbook in fs::read_dir(folder.join("../../dashboards/runbooks")).unwrap() {
        let path = runbook.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        if path.extension().is_none_or(|end| end != "md") || !text.contains("](") {
            continue;
        }
        let viewer = folder.join("viewer");
        let output = Command::new("python3").args(["-B", "-c", RENDER]).arg(&path).current_dir(viewer).output().unwrap();
        assert!(output.status.success(), "{}: {}", path.display(), String::from_utf8_lossy(&output.stderr));
        let page = String::from_utf8(output.stdout).unwrap();
        assert!(!page.contains("](") && !page.contains("</a></a>"), "{}: {page}", path.display());
        linked += 1;
    }
    assert!(linked > 3, "{linked} runbooks have links");
}
