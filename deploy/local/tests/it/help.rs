//! The README and the program's help agree.

use architecture::help::{self, ProgramHelp};

#[test]
fn readme_and_help_agree() {
    let compared = ProgramHelp {
        name: "local-parts",
        prefix: "",
        readme: include_str!("../../README.md"),
        help: &help::printed_by(env!("CARGO_BIN_EXE_local-parts")),
        of_others: &[],
    };
    assert_eq!(compared.contradictions(), Vec::<String>::new());
}
