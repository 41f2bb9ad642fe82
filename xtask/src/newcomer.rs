//! A newcomer's first ten minutes: a fresh clone of what is committed, an empty home, a PATH with
//! Rust, a C compiler and git and nothing else, an ordinary user; README's two commands.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::context::Context;
use crate::shell::Cmd;
use crate::step::{Done, Outcome, Skip, Step, passed};
use crate::test::fresh_folder;

pub(crate) static STEP: Step = Step {
    name: "newcomer",
    about: "README's two commands work for an ordinary user in a fresh clone",
    rerun: "newcomer",
    run,
};

const COMMANDS: [&[&str]; 2] = [&["run", "--release", "--example", "tour"], &["xtask", "ci"]];

/// What the PATH holds beside Rust: the C compiler with its parts, git, and the shell they call.
const PROGRAMS: &[&str] = &["cc", "gcc", "ld", "as", "ar", "git", "sh"];

/// What a machine may need to reach its registry; everything else of our environment is dropped.
const NETWORK: &[&str] = &[
    "http_proxy",
    "https_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "no_proxy",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "CARGO_HTTP_CAINFO",
    "CARGO_HTTP_PROXY",
];

/// The user and group that own nothing.
const NOBODY: &str = "65534";

fn run(context: &Context, _: &[String]) -> Outcome {
    let dirty = context.tool("git", &["status", "--porcelain"]).check()?;
    if !dirty.stdout.is_empty() {
        println!("  note: what is not committed is not in the clone");
    }
    let base = std::env::temp_dir().join(format!("newcomer-{}", std::process::id()));
    fresh_folder(&base)?;
    let answer = visit(context, &base);
    let _ = std::fs::remove_dir_all(&base);
    answer
}

fn visit(context: &Context, base: &Path) -> Outcome {
    let (home, bin, clone) = (base.join("home"), base.join("bin"), base.join("asupersync"));
    fresh_folder(&home.join(".cargo"))?;
    fresh_folder(&bin)?;
    Cmd::new("git")
        .args(["clone", "--quiet", "--no-hardlinks"])
        .arg(&context.root)
        .arg(&clone)
        .check()?;
    for program in PROGRAMS {
        let place = found(program).ok_or_else(|| format!("`{program}` is not in the PATH"))?;
        symlink(place, bin.join(program))?;
    }
    // How this machine reaches its registry is the machine's matter, not the newcomer's.
    if let Some(settings) = cargo_home().map(|home| home.join("config.toml"))
        && settings.is_file()
    {
        std::fs::copy(settings, home.join(".cargo/config.toml"))?;
    }
    let sysroot = context.tool("rustc", &["--print", "sysroot"]).check()?;
    let mut rust = PathBuf::from(sysroot.stdout.trim());
    let root = Cmd::new("id").arg("-u").check()?.stdout.trim() == "0";
    if root {
        if found("setpriv").is_none() {
            return Ok(Done::Skipped(Skip::Missing {
                tool: "setpriv",
                remedy: "install util-linux, or run as an ordinary user".into(),
            }));
        }
        // Root's own folders are closed to others.
        let copy = base.join("rust");
        Cmd::new("cp").arg("-a").arg(&rust).arg(&copy).check()?;
        rust = copy;
        Cmd::new("chown").args(["-R", &format!("{NOBODY}:{NOBODY}")]).arg(base).check()?;
    }
    let path = format!("{}:{}", rust.join("bin").display(), bin.display());
    let mut times = Vec::new();
    for words in COMMANDS {
        let cargo = rust.join("bin/cargo");
        let cmd = if root {
            let drop =
                [&format!("--reuid={NOBODY}"), &format!("--regid={NOBODY}"), "--clear-groups"];
            Cmd::new(found("setpriv").unwrap_or_default()).args(drop).arg(cargo)
        } else {
            Cmd::new(cargo)
        };
        let mut cmd =
            cmd.args(words).dir(&clone).bare().loud().env("HOME", &home).env("PATH", &path);
        for key in NETWORK {
            if let Some(value) = std::env::var_os(key) {
                cmd = cmd.env(key, value);
            }
        }
        println!("  $ cargo {}", words.join(" "));
        let output = cmd.ceiling(Duration::from_secs(3600)).check()?;
        times.push(format!("`cargo {}` in {} s", words.join(" "), output.took.as_secs()));
    }
    passed(format!("cold: {}", times.join(", ")))
}

fn found(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|place| place.is_file())
}

fn cargo_home() -> Option<PathBuf> {
    std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")))
}
