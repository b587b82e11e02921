//! What the pages tell people to type: names that exist, commands that are understood.

use bellwether::settings::{STEP_VARIABLES, Scan, scan};

use crate::manifests::{DIRECTORY, STACKS, Stack};
use crate::settings::is_known;
use crate::tools::{project, text};

const PAGES: [&str; 5] = [
    "examples/kubernetes/README.md",
    "examples/kubernetes/TIMEOUTS.md",
    "examples/kubernetes/FAILED-MIGRATION.md",
    "examples/nomad/README.md",
    "examples/swarm/README.md",
];

/// Fenced blocks of commands, without prompts.
fn commands(page: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for block in page.split("```sh\n").skip(1) {
        let (block, _) = block.split_once("```").unwrap();
        let joined = block.replace("\\\n", " ");
        lines.extend(joined.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned));
    }
    lines
}

#[test]
fn kubectl_is_told_of_what_there_is() {
    let stack = Stack::named("test");
    let mut seen = 0;
    for page in PAGES {
        for command in commands(&text(page)).iter().filter(|command| command.starts_with("kubectl ")) {
            let words: Vec<&str> = command.split_whitespace().collect();
            for (position, word) in words.iter().enumerate() {
                if *word == "-k" {
                    let path = project().join("examples/kubernetes").join(words[position + 1]);
                    assert!(path.join("kustomization.yaml").exists(), "{page}: {command}");
                }
                let Some((kind, name)) = word.split_once('/') else { continue };
                let kind = match kind {
                    "deployment" => "Deployment",
                    "statefulset" => "StatefulSet",
                    "ingress" => "Ingress",
                    _ => continue,
                };
                assert!(stack.has(kind, name), "{page}: {command}: no {kind} {name}");
                seen += 1;
            }
            assert!(!command.contains("name=") || label_exists(stack, command), "{page}: {command}");
        }
    }
    assert!(seen >= 10, "{seen} names seen");
}

/// Whether `app.kubernetes.io/name=…` is the label of something.
fn label_exists(stack: &Stack, command: &str) -> bool {
    let Some((_, rest)) = command.split_once("app.kubernetes.io/name=") else { return true };
    let name = rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').next().unwrap();
    stack.workloads().any(|workload| workload.name() == name)
}

#[test]
fn bellwether_understands_what_it_is_told() {
    let mut seen = 0;
    for page in PAGES {
        let page_text = text(page);
        let inline = page_text.split('`').filter(|code| code.starts_with("bellwether ") && !code.contains('\n'));
        let inline: Vec<String> = inline.map(str::to_owned).collect();
        for command in commands(&page_text).iter().chain(&inline) {
            let Some((_, call)) = command.split_once("bellwether ") else { continue };
            if !(command.starts_with("bellwether ") || command.contains("-- bellwether ")) {
                continue;
            }
            let words = call.split_whitespace().take_while(|word| !["|", "&&", ";"].contains(word));
            let scanned = scan(words.map(|word| word.trim_matches('\'').into()));
            assert!(matches!(scanned, Ok(Scan::Do(_))), "{page}: {command}: {scanned:?}");
            seen += 1;
        }
    }
    assert!(seen >= 10, "{seen} commands seen");
}

#[test]
fn every_variable_they_speak_of_exists() {
    // Of the servers' images, of nginx, and of a shell.
    let others = ["MARIADB_ROOT_PASSWORD_FILE", "PROXY_READ_TIMEOUT", "IMAGE_NAME"];
    for page in PAGES {
        let text = text(page);
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let names = words.filter(|word| {
            word.contains('_')
                && word.len() > 3
                && word.starts_with(|c: char| c.is_ascii_uppercase())
                && *word == word.to_ascii_uppercase()
        });
        let unknown: Vec<&str> =
            names.filter(|name| !is_known(name) && !STEP_VARIABLES.contains(name) && !others.contains(name)).collect();
        assert_eq!(unknown, Vec::<&str>::new(), "{page}");
    }
}

#[test]
fn every_link_leads_somewhere() {
    for page in PAGES {
        let text = text(page);
        let directory = project().join(page).parent().unwrap().to_owned();
        for link in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            let file = link.split('#').next().unwrap();
            assert!(directory.join(file).exists(), "{page}: {link}");
        }
    }
}

#[test]
fn every_overlay_has_its_place_on_the_page() {
    let page = text(&format!("{DIRECTORY}/README.md"));
    for stack in &*STACKS {
        assert!(page.contains(&format!("overlays/{}", stack.overlay)), "{}", stack.overlay);
    }
}
