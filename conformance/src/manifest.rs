//! All that a failure needs to be seen again, in a file: what ran, on what, built how, and what was false.

use serde_json::{Value, json};
use std::time::Duration;

/// Names the mutant that a kernel under test is broken by; it goes into manifests as it is.
pub const MUTANT_VARIABLE: &str = "ASUPERSYNC_CONFORMANCE_MUTANT";

/// The format that is written; others are refused.
const SCHEMA: u64 = 2;

/// A failure, as it can be seen again by whoever has the sources and nothing else of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// What ran.
    pub subject: Subject,
    /// The runtime's name.
    pub runtime: String,
    /// The seed: of the schedule, where the runtime follows one, and of a random program.
    pub seed: u64,
    /// After what time the run counted as hung.
    pub ceiling: Duration,
    /// How the kernel was broken, when it was.
    pub mutant: Option<String>,
    /// What the program was that found it.
    pub build: Build,
    /// What was false, a sentence each.
    pub failed: Vec<String>,
}

/// What ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The case of this name.
    Case(String),
    /// The random program that the manifest's seed makes, beside the reference model.
    Program,
}

/// What a program that runs cases was built from and for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Build {
    /// The suite's version.
    pub version: String,
    /// Whether mutants are compiled in (`--cfg mutants`).
    pub mutants: bool,
    /// Whether it is optimized, and without debug assertions.
    pub release: bool,
    /// The processor and the system.
    pub target: String,
}

impl Build {
    /// This program's.
    #[must_use]
    pub fn this() -> Build {
        Build {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            mutants: cfg!(mutants),
            release: !cfg!(debug_assertions),
            target: format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
        }
    }
}

impl Manifest {
    /// A failure of this program's.
    #[must_use]
    pub fn new(
        subject: Subject,
        runtime: &str,
        seed: u64,
        ceiling: Duration,
        failed: Vec<String>,
    ) -> Manifest {
        let (mutant, build) = (std::env::var(MUTANT_VARIABLE).ok(), Build::this());
        Manifest { subject, runtime: runtime.to_owned(), seed, ceiling, mutant, build, failed }
    }

    /// The file's text.
    #[must_use]
    pub fn text(&self) -> String {
        let Manifest { subject, runtime, seed, ceiling, mutant, build, failed } = self;
        let subject = match subject {
            Subject::Case(name) => json!({ "case": name }),
            Subject::Program => json!("random program"),
        };
        let manifest = json!({
            "schema": SCHEMA,
            "subject": subject,
            "runtime": runtime,
            "seed": seed,
            "ceiling_ms": u64::try_from(ceiling.as_millis()).unwrap_or(u64::MAX),
            "mutant": mutant,
            "build": {
                "version": build.version,
                "mutants": build.mutants,
                "release": build.release,
                "target": build.target,
            },
            "failed": failed,
            "command": "cargo xtask conformance --manifest repro_manifest.json",
        });
        format!("{manifest:#}\n")
    }

    /// Reads the file's text.
    ///
    /// # Errors
    /// What is missing in it, or that it is of another format.
    pub fn parse(text: &str) -> Result<Manifest, String> {
        let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if value["schema"] != SCHEMA {
            return Err(format!(
                "the schema is {}, and {SCHEMA} is what can be read",
                value["schema"]
            ));
        }
        let text = |value: &Value, field: &str| {
            let text = value[field].as_str().map(str::to_owned);
            text.ok_or_else(|| format!("there is no text `{field}`"))
        };
        let number = |field: &str| {
            value[field].as_u64().ok_or_else(|| format!("there is no number `{field}`"))
        };
        let subject = match &value["subject"] {
            Value::String(words) if words == "random program" => Subject::Program,
            subject => Subject::Case(text(subject, "case")?),
        };
        let build = &value["build"];
        let flag = |field: &str| {
            build[field].as_bool().ok_or_else(|| format!("the build has no flag `{field}`"))
        };
        let build = Build {
            version: text(build, "version")?,
            mutants: flag("mutants")?,
            release: flag("release")?,
            target: text(build, "target")?,
        };
        let failed = value["failed"].as_array().ok_or("there is no list `failed`")?;
        let sentences = failed.iter().map(|sentence| sentence.as_str().map(str::to_owned));
        Ok(Manifest {
            subject,
            runtime: text(&value, "runtime")?,
            seed: number("seed")?,
            ceiling: Duration::from_millis(number("ceiling_ms")?),
            mutant: value["mutant"].as_str().map(str::to_owned),
            build,
            failed: sentences.collect::<Option<_>>().ok_or("`failed` holds more than sentences")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_read_as_it_was_written() {
        let failed = vec!["water is \"wet\"".to_owned(), "two\nlines".to_owned()];
        for subject in [Subject::Case("a_case".to_owned()), Subject::Program] {
            let (seed, ceiling) = (u64::MAX - 3, Duration::from_secs(20));
            let mut manifest = Manifest::new(subject, "lab", seed, ceiling, failed.clone());
            manifest.mutant = Some("kernel MaskIgnored".to_owned());
            assert_eq!(Manifest::parse(&manifest.text()), Ok(manifest));
        }
    }

    #[test]
    fn what_is_missing_in_a_manifest_is_named() {
        let whole = Manifest::new(Subject::Program, "lab", 7, Duration::from_secs(1), Vec::new());
        for field in ["schema", "subject", "runtime", "seed", "ceiling_ms", "build", "failed"] {
            let mut value: Value = serde_json::from_str(&whole.text()).unwrap();
            value.as_object_mut().unwrap().remove(field);
            assert!(Manifest::parse(&value.to_string()).is_err(), "without {field}");
        }
        assert!(Manifest::parse("{").is_err());
    }
}
