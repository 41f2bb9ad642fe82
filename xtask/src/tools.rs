//! Looking for a tool, and installing it when the caller allowed that.

use std::time::Duration;

use crate::context::Context;
use crate::shell::{Cmd, tail};
use crate::step::Skip;

/// A program a step cannot do without.
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    /// A call that succeeds when the tool is there.
    pub(crate) probe: &'static [&'static str],
    /// The calls that install it, in order; empty when only a person can.
    pub(crate) install: &'static [&'static [&'static str]],
    /// Environment of the installation.
    pub(crate) envs: &'static [(&'static str, &'static str)],
}

pub(crate) static CARGO_DENY: Tool = Tool {
    name: "cargo-deny",
    probe: &["cargo", "deny", "--version"],
    install: &[&["cargo", "install", "--locked", "--no-default-features", "cargo-deny"]],
    envs: QUICK_BUILD,
};

pub(crate) static CARGO_FUZZ: Tool = Tool {
    name: "cargo-fuzz",
    probe: &["cargo", "fuzz", "--version"],
    install: &[&["cargo", "install", "--locked", "cargo-fuzz"]],
    envs: QUICK_BUILD,
};

pub(crate) static NIGHTLY: Tool = Tool {
    name: "a nightly toolchain",
    probe: &["cargo", "+nightly", "--version"],
    install: &[&["rustup", "toolchain", "install", "nightly", "--profile", "minimal"]],
    envs: &[],
};

pub(crate) static VALGRIND: Tool = Tool {
    name: "valgrind",
    probe: &["valgrind", "--version"],
    install: &[&["apt-get", "update", "-q"], &["apt-get", "install", "-y", "-q", "valgrind"]],
    envs: &[],
};

pub(crate) static CPP: Tool = Tool {
    name: "a C++ compiler",
    probe: &["g++", "--version"],
    install: &[&["apt-get", "update", "-q"], &["apt-get", "install", "-y", "-q", "g++"]],
    envs: &[],
};

pub(crate) static COQ: Tool = Tool {
    name: "Coq",
    probe: &["coqc", "--version"],
    install: &[
        &["apt-get", "update", "-q"],
        &["apt-get", "install", "-y", "-q", "--no-install-recommends", "coq"],
    ],
    envs: &[],
};

pub(crate) static JAVA: Tool = Tool {
    name: "a Java runtime",
    probe: &["java", "-version"],
    install: &[
        &["apt-get", "update", "-q"],
        &["apt-get", "install", "-y", "-q", "default-jre-headless"],
    ],
    envs: &[],
};

pub(crate) static CHROMIUM: Tool = Tool {
    name: "Chromium",
    probe: &["chromium", "--version"],
    install: &[
        &["apt-get", "update", "-q"],
        &["apt-get", "install", "-y", "-q", "--no-install-recommends", "chromium"],
    ],
    envs: &[],
};

/// A program at the other end of a protocol of ours, by its call and its package.
macro_rules! peer {
    ($name:literal $argument:literal, $package:literal) => {
        Tool {
            name: $name,
            probe: &[$name, $argument],
            install: &[
                &["apt-get", "update", "-q"],
                &["apt-get", "install", "-y", "-q", "--no-install-recommends", $package],
            ],
            envs: &[],
        }
    };
}

// The package `dnsmasq` would start a service.
pub(crate) static PEERS: &[Tool] = &[
    peer!("socat" "-V", "socat"),
    peer!("dnsmasq" "--version", "dnsmasq-base"),
    peer!("dig" "-v", "bind9-dnsutils"),
    peer!("curl" "--version", "curl"),
    peer!("openssl" "version", "openssl"),
];

// These tools read a few files of ours: optimising them costs minutes and saves milliseconds.
const QUICK_BUILD: &[(&str, &str)] = &[
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0"),
    ("CARGO_PROFILE_RELEASE_LTO", "off"),
    ("CARGO_PROFILE_RELEASE_DEBUG", "0"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"),
];

impl Tool {
    /// Whether the tool answers.
    pub(crate) fn is_there(&self, context: &Context) -> bool {
        let (program, arguments) = self.probe.split_first().expect("a probe has a program");
        context.tool(program, arguments).run().is_ok_and(|output| output.ok)
    }

    /// Finds the tool, or installs it, or says why the step must be skipped.
    pub(crate) fn require(&self, context: &Context) -> Result<(), Skip> {
        if self.is_there(context) {
            return Ok(());
        }
        let calls: Vec<String> = self.install.iter().map(|words| words.join(" ")).collect();
        let remedy = format!("`{}`, or run with --install", calls.join(" && "));
        if !context.install {
            return Err(Skip::Missing { tool: self.name, remedy });
        }
        for (words, line) in self.install.iter().zip(&calls) {
            println!("  installing {}: {line}", self.name);
            let cmd = Cmd::new(words[0]).args(&words[1..]).ceiling(Duration::from_secs(1200));
            let cmd = self.envs.iter().fold(cmd, |cmd, (key, value)| cmd.env(key, value));
            // Flags meant for the project's own builds must not reach the tool's.
            let cmd = cmd.env_remove("CARGO_TARGET_DIR").env_remove("RUSTFLAGS");
            let why = match cmd.run() {
                Ok(output) if output.ok => continue,
                Ok(output) => tail(&output.text),
                Err(failure) => failure.0,
            };
            println!("{why}");
            return Err(Skip::Unreachable(format!("{}: `{line}` failed from here", self.name)));
        }
        if self.is_there(context) {
            Ok(())
        } else {
            Err(Skip::Unreachable(format!("{}: installed, but it does not answer", self.name)))
        }
    }
}
