//! The command line as a whole.

use clap::CommandFactory;

use super::Cli;

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

/// The command and all below it, with their names.
fn commands(command: &clap::Command, above: &str) -> Vec<(String, clap::Command)> {
    let name = format!("{above} {}", command.get_name());
    let below: Vec<_> = command.get_subcommands().flat_map(|command| commands(command, &name)).collect();
    [(name, command.clone())].into_iter().chain(below).collect()
}

#[test]
fn the_help_of_every_command_has_an_example_that_is_right() {
    for (name, mut command) in commands(&Cli::command(), "") {
        let help = command.render_long_help().to_string();
        let (_, examples) = help.split_once("Example").unwrap_or_else(|| panic!("{name} has no example: {help}"));
        let lines = examples.lines().filter_map(|line| line.split_once("keyservice ").map(|(_, rest)| rest));
        let mut shown = 0;
        for line in lines {
            let words = words(line.split(" | ").next().unwrap().split(" > ").next().unwrap());
            let parsed = Cli::command().try_get_matches_from(["keyservice".to_owned()].into_iter().chain(words));
            assert!(parsed.is_ok(), "{name}: {line}: {}", parsed.unwrap_err());
            shown += 1;
        }
        assert!(shown > 0, "{name}: {help}");
    }
}

/// The words of a line as a shell parts them; quotes are single.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (index, part) in line.split('\'').enumerate() {
        match index % 2 {
            0 => words.extend(part.split_whitespace().take_while(|word| *word != "<").map(str::to_owned)),
            _ => words.push(part.to_owned()),
        }
    }
    words
}
