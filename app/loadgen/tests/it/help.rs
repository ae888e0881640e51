//! The README and the program's help agree.

use std::process::Command;

use architecture::help::ProgramHelp;

#[test]
fn readme_and_help_agree() {
    let help = |of: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_exchange-loadgen")).args(of).arg("--help").output().unwrap();
        assert!(output.status.success(), "{of:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let readme = include_str!("../../README.md");
    let compared = ProgramHelp { name: "exchange-loadgen", prefix: "", readme, help: &help, of_others: &["--release"] };
    assert_eq!(compared.contradictions(), Vec::<String>::new());
}
