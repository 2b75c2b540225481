//! Why a command could not be started, in words that lead to the remedy.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::model::{Cause, Failure, LocalProcess, Stage};
use crate::nearest::misspelt;

/// Checked before the start: afterwards the system's error does not tell which path was missing.
pub fn directory(spec: &LocalProcess) -> Result<(), Failure> {
    let Some(directory) = &spec.cwd else {
        return Ok(());
    };
    let shown = directory.display();
    let problem = match fs::metadata(directory) {
        Ok(found) if found.is_dir() => return Ok(()),
        Ok(_) => format!("the working directory {shown} is not a directory"),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            format!("the working directory {shown} does not exist")
        }
        Err(error) => {
            let context = format!("the working directory {shown} cannot be used");
            return Err(Failure::caused_by(Stage::Start, context, error));
        }
    };
    Err(Failure::other(Stage::Start, problem).hint("create it or correct cwd"))
}

/// The system's error with what can be found out about the file.
pub fn failure(spec: &LocalProcess, error: io::Error) -> Failure {
    let command = &spec.command;
    let Some(file) = locate(spec) else {
        let not_found = Cause::CommandNotFound(command.clone());
        return Failure::new(Stage::Start, not_found).hint(suggestion(spec));
    };
    let shown = file.display();
    let other = |text: String| Failure::other(Stage::Start, text);
    if file.is_dir() {
        return other(format!("{shown} is a directory")).hint("name the program in it");
    }
    if !is_executable(&file) {
        return other(format!("{shown} is not executable")).hint(format!(
            "chmod +x {shown}, or make its interpreter the command"
        ));
    }
    match (error.kind(), interpreter(&file)) {
        (ErrorKind::NotFound, Some(interpreter)) => other(format!(
            "{interpreter}, the interpreter of {shown}, does not exist"
        ))
        .hint("correct its first line or install the interpreter"),
        // ENOEXEC
        _ if error.raw_os_error() == Some(8) => {
            other(format!("{shown} is not a program for this system"))
                .hint("a script needs a first line such as #!/bin/sh")
        }
        _ => Failure::caused_by(Stage::Start, format!("cannot start {command}"), error),
    }
}

/// The file that the command names: executable if there is one, else any.
fn locate(spec: &LocalProcess) -> Option<PathBuf> {
    if spec.command.is_empty() {
        return None;
    }
    if spec.command.contains('/') {
        let base = spec.cwd.clone().unwrap_or_default();
        return Some(base.join(&spec.command)).filter(|file| file.exists());
    }
    let files = || {
        env::split_paths(&search_path(spec))
            .map(|directory| directory.join(&spec.command))
            .filter(|file| file.is_file())
            .collect::<Vec<_>>()
    };
    let files = files();
    files
        .iter()
        .find(|file| is_executable(file))
        .or(files.first())
        .cloned()
}

/// PATH as the child would have it.
fn search_path(spec: &LocalProcess) -> OsString {
    match spec.env.get("PATH") {
        Some(path) => path.expose().into(),
        None => env::var_os("PATH").unwrap_or_default(),
    }
}

fn is_executable(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// What the first line of a script asks for.
fn interpreter(file: &Path) -> Option<String> {
    let mut head = Vec::new();
    File::open(file)
        .ok()?
        .take(256)
        .read_to_end(&mut head)
        .ok()?;
    let line = head
        .strip_prefix(b"#!")?
        .split(|byte| *byte == b'\n')
        .next()?;
    Some(
        String::from_utf8_lossy(line)
            .split_whitespace()
            .next()?
            .to_owned(),
    )
}

fn suggestion(spec: &LocalProcess) -> String {
    if spec.command.contains('/') {
        return "there is no such file; relative paths start at the working directory".into();
    }
    match nearest_program(spec) {
        Some(name) => format!("did you mean {name}?"),
        None => "is it installed and on PATH?".into(),
    }
}

/// The program on PATH whose name is most like the command, if one is very much so.
fn nearest_program(spec: &LocalProcess) -> Option<String> {
    let names: Vec<String> = env::split_paths(&search_path(spec))
        .filter_map(|directory| fs::read_dir(directory).ok())
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.file_name().to_str()?.to_owned()))
        .collect();
    misspelt(&spec.command, names.iter().map(String::as_str)).map(str::to_owned)
}
