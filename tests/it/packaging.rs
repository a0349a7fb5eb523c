//! What packages bring besides the binary: man pages and completions of every command, files that are where the package and
//! the unit expect them.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use clap::{CommandFactory as _, Parser as _};
use vestibule::cli::Cli;
use yaml_rust2::YamlLoader;

use crate::binary::{stderr, stdout, vestibule, vestibule_in};
use crate::daemon::SITE;

#[path = "../../deploy/man.rs"]
#[expect(dead_code, reason = "an example has a main")]
mod man;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The words of each command, `["vestibule", "held", "release"]`, and its long flags.
fn commands() -> Vec<(Vec<String>, Vec<String>)> {
    fn walk(command: &clap::Command, above: &[String], found: &mut Vec<(Vec<String>, Vec<String>)>) {
        let words = [above, &[command.get_name().to_owned()]].concat();
        let flags = command.get_arguments().filter_map(|argument| argument.get_long());
        found.push((words.clone(), flags.map(|flag| format!("--{flag}")).collect()));
        command.get_subcommands().for_each(|sub| walk(sub, &words, found));
    }
    let mut found = Vec::new();
    walk(&Cli::command(), &[], &mut found);
    assert!(found.len() > 20 && found.iter().any(|(words, _)| words.join(" ") == "vestibule held release"));
    found
}

#[test]
fn every_command_has_a_man_page_and_no_other_is_there() {
    let folder = tempfile::tempdir().unwrap();
    man::pages(folder.path()).unwrap();
    let written: BTreeSet<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let commands = commands();
    let expected: BTreeSet<_> = commands.iter().map(|(words, _)| words.join("-") + ".1").collect();
    assert_eq!(written, expected);
    for (words, flags) in commands {
        let page = fs::read_to_string(folder.path().join(words.join("-") + ".1")).unwrap().replace('\\', "");
        assert!(page.contains(".SH SYNOPSIS") && page.contains("Example:"), "{words:?}");
        for flag in flags {
            assert!(page.contains(&flag), "{words:?}: {flag}");
        }
    }
}

#[test]
fn every_command_and_flag_is_completed() {
    for shell in ["bash", "zsh", "fish"] {
        let output = vestibule(&["completions", shell]);
        assert!(output.status.success(), "{}", stderr(&output));
        let script = stdout(&output);
        for (words, flags) in commands() {
            for word in words.iter().chain(&flags) {
                // Fish has them without the dashes, behind `-l`.
                assert!(script.contains(word.trim_start_matches('-')), "{shell}: {words:?}: {word}");
            }
        }
    }
    let bash = vestibule(&["completions", "bash"]);
    let checked = Command::new("bash").args(["-n", "-c", &stdout(&bash)]).status().unwrap();
    assert!(checked.success(), "bash does not take its completions");
    assert_eq!(vestibule(&["completions", "cobol"]).status.code(), Some(2));
}

#[test]
fn the_configuration_that_the_package_brings_says_what_to_fill_in() {
    let brought = fs::read_to_string(root().join("deploy/debian/vestibule.toml")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vestibule.toml");
    let token = folder.path().join("admin-token");
    fs::write(&token, "0123456789abcdef0123456789abcdef\n").unwrap();
    let brought = brought.replace("/etc/vestibule/admin-token", token.to_str().unwrap());
    fs::write(&path, &brought).unwrap();
    let refused = vestibule(&["check", "--config", path.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(2), "{}", stdout(&refused));
    for missing in
        ["hostname", "http.public_url", "mail.relay", "mail.from", "authentication.mode", "projects"]
    {
        assert!(stderr(&refused).contains(missing), "{missing} is not in\n{}", stderr(&refused));
    }
    // Nothing else is wrong with it: what stands behind `#> ` only has to be let in.
    fs::write(&path, brought.replace("\n#> ", "\n")).unwrap();
    let valid = vestibule(&["check", "--config", path.to_str().unwrap()]);
    assert_eq!(valid.status.code(), Some(0), "{}", stderr(&valid));
}

#[test]
fn what_systemd_hands_over_is_read_in_place_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let (config, credentials) = (folder.path().join("vestibule.toml"), folder.path().join("credentials"));
    fs::create_dir(&credentials).unwrap();
    fs::write(credentials.join("admin-token"), "0123456789abcdef0123456789abcdef\n").unwrap();
    let file = "admin_token_file = \"/no/such/folder/admin-token\"";
    fs::write(&config, SITE.replace("admin_token = \"a-token-for-tests-only\"", file)).unwrap();
    let check = |credentials: &Path| {
        let environment = [("CREDENTIALS_DIRECTORY", credentials.to_str().unwrap())];
        vestibule_in(&["check", "--config", config.to_str().unwrap()], &environment)
    };
    let taken = check(&credentials);
    assert_eq!(taken.status.code(), Some(0), "{}", stderr(&taken));
    // A folder without it changes nothing.
    let refused = check(folder.path());
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("/no/such/folder/admin-token"), "{}", stderr(&refused));
}

#[test]
fn healthcheck_tells_whether_mail_is_taken() {
    let served = crate::binary::Served::start();
    let url = format!("http://{}", served.http);
    let well = vestibule(&["healthcheck", "--url", &url]);
    assert_eq!(stdout(&well), "ready\n", "{}", stderr(&well));
    served.stop();
    let gone = vestibule(&["healthcheck", "--url", &url]);
    assert_eq!(gone.status.code(), Some(1));
    assert!(stderr(&gone).contains("no answer from the daemon"), "{}", stderr(&gone));
}

/// The words of systemd's own score: at or under 1.5.
#[test]
fn the_unit_is_as_closed_as_it_says() {
    let unit = root().join("deploy/vestibule.service");
    let score = Command::new("systemd-analyze")
        .args(["security", "--no-pager", "--offline=yes", "--threshold=15", unit.to_str().unwrap()])
        .output();
    // Without systemd there is nothing to ask.
    let Ok(score) = score else { return };
    assert!(score.status.success(), "{}", stdout(&score));
    assert!(stdout(&score).contains("Overall exposure level"), "{}", stdout(&score));
}

/// A line of the Dockerfile whose last part is a JSON list of words.
fn words(dockerfile: &str, instruction: &str) -> Vec<String> {
    let line = dockerfile.lines().find(|line| line.starts_with(instruction)).unwrap();
    serde_json::from_str(&line[line.find('[').unwrap()..]).unwrap()
}

#[test]
fn the_commands_of_the_container_are_ours() {
    let dockerfile = fs::read_to_string(root().join("deploy/Dockerfile")).unwrap();
    let (entry, serve) = (words(&dockerfile, "ENTRYPOINT"), words(&dockerfile, "CMD"));
    for command in [[entry, serve].concat(), words(&dockerfile, "HEALTHCHECK")] {
        let parsed = Cli::try_parse_from(&command);
        assert!(parsed.is_ok(), "{command:?}: {}", parsed.unwrap_err());
    }
    let copied = dockerfile.lines().filter_map(|line| line.strip_prefix("COPY --from=build "));
    assert_eq!(copied.filter(|line| line.ends_with(" /usr/bin/vestibule")).count(), 1);
}

#[test]
fn the_compose_file_is_one_and_runs_the_container_without_rights() {
    let text = fs::read_to_string(root().join("deploy/compose.yaml")).unwrap();
    let read = YamlLoader::load_from_str(&text).unwrap();
    let service = &read[0]["services"]["vestibule"];
    let folder = root().join("deploy").join(service["build"]["context"].as_str().unwrap());
    assert!(folder.join(service["build"]["dockerfile"].as_str().unwrap()).exists());
    assert_eq!(service["read_only"].as_bool(), Some(true));
    assert_eq!(service["cap_drop"][0].as_str(), Some("ALL"));
    for port in service["ports"].as_vec().unwrap() {
        assert!(port.as_str().unwrap().starts_with("127.0.0.1:"), "{port:?} is open to the world");
    }
    for (named, defined) in [("secrets", "secrets"), ("networks", "networks")] {
        let name = service[named][0].as_str().unwrap();
        assert!(!read[0][defined][name].is_badvalue(), "{named}: {name} is not defined");
    }
}
