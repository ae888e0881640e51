//! The README and the program's help agree.

use architecture::help::{self, ProgramHelp};

#[test]
fn readme_and_help_agree() {
    let compared = ProgramHelp {
        name: "manifests",
        prefix: "",
        readme: include_str!("../../README.md"),
        help: &help::printed_by(env!("CARGO_BIN_EXE_manifests")),
        of_others: &["--package"],
    };
    assert_eq!(compared.contradictions(), Vec::<String>::new());
}
