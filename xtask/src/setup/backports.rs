// SPDX-License-Identifier: MIT OR Apache-2.0
//! Debian's backports as a package source, for machines where the release's own QEMU cannot be
//! installed.
//!
//! That is so where a part of QEMU from backports is already there and breaks the older parts. The
//! source is derived from the Debian source that the machine has: same address, same key.

use crate::process;
use anyhow::{Context, Result};
use std::path::Path;

const SOURCES: &str = "/etc/apt/sources.list.d";
const OURS: &str = "/etc/apt/sources.list.d/understudy-backports.sources";

/// A Debian package source.
#[derive(Debug, PartialEq, Eq)]
struct Source {
    uri: String,
    signed_by: Option<String>,
}

/// Makes the suite known to apt where it is not; returns its name. The package lists must be read
/// again after.
pub fn enable() -> Result<String> {
    let plan = plan()?;
    match &plan.file {
        None => {
            process::announce("setup", &format!("QEMU comes from {}, which apt knows already", plan.suite));
        }
        Some(text) => {
            process::announce("setup", "the release's QEMU cannot be installed beside what is there;");
            process::announce("", &format!("adding the apt source {} as {OURS}", plan.suite));
            std::fs::write(OURS, text).with_context(|| format!("cannot write {OURS}"))?;
        }
    }
    Ok(plan.suite)
}

/// What makes the suite known to apt.
pub struct Plan {
    /// Its name.
    pub suite: String,
    /// The source file to add; none where apt knows the suite.
    file: Option<String>,
}

impl Plan {
    /// A suite that apt knows.
    #[cfg(test)]
    pub fn known(suite: &str) -> Plan {
        Plan { suite: suite.to_owned(), file: None }
    }

    /// The command that adds the source file, as root would type it.
    pub fn command(&self) -> Option<String> {
        let lines: Vec<String> = self.file.as_ref()?.lines().map(|line| format!("'{line}'")).collect();
        Some(format!("printf '%s\\n' {} > {OURS}", lines.join(" ")))
    }
}

/// Finds out what has to be done, and does nothing.
pub fn plan() -> Result<Plan> {
    let codename =
        codename(&std::fs::read_to_string("/etc/os-release")?).context("this is not a Debian release")?;
    let suite = format!("{codename}-backports");
    let files = source_files();
    if files.iter().any(|text| text.contains(&suite)) {
        return Ok(Plan { suite, file: None });
    }
    let source = files.iter().find_map(|text| find_source(text, &codename));
    let source =
        source.with_context(|| format!("no apt source of Debian {codename} to derive {suite} from"))?;
    Ok(Plan { file: Some(entry(&source, &suite)), suite })
}

fn codename(os_release: &str) -> Option<String> {
    let line = os_release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="))?;
    Some(line.trim_matches('"').to_owned())
}

fn source_files() -> Vec<String> {
    let mut files = vec![std::path::PathBuf::from("/etc/apt/sources.list")];
    let folder = std::fs::read_dir(Path::new(SOURCES)).into_iter().flatten().flatten();
    files.extend(folder.map(|entry| entry.path()));
    files.iter().filter_map(|path| std::fs::read_to_string(path).ok()).collect()
}

fn entry(source: &Source, suite: &str) -> String {
    let mut text = format!("Types: deb\nURIs: {}\nSuites: {suite}\nComponents: main\n", source.uri);
    if let Some(key) = &source.signed_by {
        text.push_str(&format!("Signed-By:{key}\n"));
    }
    text
}

/// The source of the release `codename` in a file of either of apt's two forms.
fn find_source(text: &str, codename: &str) -> Option<Source> {
    let stanzas = text.split("\n\n").filter_map(|stanza| from_stanza(stanza, codename));
    stanzas.chain(text.lines().filter_map(|line| from_line(line, codename))).next()
}

fn from_stanza(stanza: &str, codename: &str) -> Option<Source> {
    let suites = field(stanza, "Suites")?;
    suites.split_whitespace().any(|suite| suite == codename).then_some(())?;
    let uri = field(stanza, "URIs")?.split_whitespace().next()?.to_owned();
    Some(Source { uri, signed_by: field(stanza, "Signed-By") })
}

/// A field with its continuation lines, which begin with a blank.
fn field(stanza: &str, name: &str) -> Option<String> {
    let mut lines = stanza.lines().skip_while(|line| !line.starts_with(&format!("{name}:")));
    let mut value = lines.next()?.get(name.len() + 1..)?.to_owned();
    for line in lines.take_while(|line| line.starts_with(' ') || line.starts_with('\t')) {
        value.push('\n');
        value.push_str(line);
    }
    Some(value)
}

fn from_line(line: &str, codename: &str) -> Option<Source> {
    let rest = line.trim().strip_prefix("deb ")?.trim();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => ("", rest),
    };
    let mut words = rest.split_whitespace();
    let uri = words.next()?.to_owned();
    (words.next()? == codename).then_some(())?;
    let key = options.split_whitespace().find_map(|option| option.strip_prefix("signed-by="));
    Some(Source { uri, signed_by: key.map(|key| format!(" {key}")) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stanza_gives_address_and_key() {
        let text = "Types: deb\n# note\nURIs: http://deb.debian.org/debian\nSuites: bookworm bookworm-updates\n\
                    Components: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n";
        let source = find_source(text, "bookworm").expect("found");
        assert_eq!(
            entry(&source, "bookworm-backports"),
            "Types: deb\nURIs: http://deb.debian.org/debian\nSuites: bookworm-backports\nComponents: main\n\
             Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
        );
    }

    #[test]
    fn the_command_for_root_writes_the_source_file() {
        let file = Some("Types: deb\nURIs: http://mirror\n".to_owned());
        let plan = Plan { suite: "x-backports".to_owned(), file };
        let command = plan.command().expect("there is a file to write");
        assert_eq!(command, format!("printf '%s\\n' 'Types: deb' 'URIs: http://mirror' > {OURS}"));
        assert_eq!(Plan { suite: String::new(), file: None }.command(), None);
    }

    #[test]
    fn a_line_gives_address_and_key() {
        let source =
            find_source("deb [arch=amd64 signed-by=/k.gpg] http://mirror/debian bookworm main", "bookworm");
        let expected = Source { uri: "http://mirror/debian".into(), signed_by: Some(" /k.gpg".into()) };
        assert_eq!(source, Some(expected));
    }

    #[test]
    fn other_suites_are_not_taken() {
        assert_eq!(find_source("deb http://security.debian.org bookworm-security main", "bookworm"), None);
        assert_eq!(find_source("URIs: https://elsewhere\nSuites: nodistro\n", "bookworm"), None);
    }
}
