//! Every example runs to its end.
//!
//! What an example needs to end by itself stands in `examples/Cargo.toml`:
//!
//! ```toml
//! [package.metadata.examples]
//! echo_server = { interrupt_after_ms = 500 }          # Ctrl-C
//! tour = { ceiling_secs = 120, last_line = "tour: 3 of 3 ok" }
//! fan_out = { args = ["8"] }
//! ```

use std::time::Duration;

use serde_json::Value;

use crate::context::Context;
use crate::step::{Failure, Outcome, Step, nothing, passed};

pub(crate) static STEP: Step =
    Step { name: "examples", about: "every example runs to its end", rerun: "examples", run };

const CEILING: u64 = 120;

/// How one example is run.
#[derive(Debug, Default, PartialEq, Eq)]
struct Call {
    args: Vec<String>,
    ceiling_secs: Option<u64>,
    interrupt_after_ms: Option<u64>,
    last_line: Option<String>,
}

fn run(context: &Context, arguments: &[String]) -> Outcome {
    let Some(package) = context.workspace.packages.iter().find(|p| p.dir == "examples") else {
        return nothing("there is no examples/ yet");
    };
    let examples = package.targets.iter().filter(|target| target.kind == "example");
    let mut names: Vec<&str> = examples.map(|target| target.name.as_str()).collect();
    let table = &package.metadata["examples"];
    for name in table.as_object().into_iter().flatten().map(|(name, _)| name) {
        if !names.contains(&name.as_str()) {
            let text = format!("examples/Cargo.toml: metadata for `{name}`, which is no example");
            return Err(Failure(text));
        }
    }
    if let Some(wanted) = arguments.first() {
        names.retain(|name| name == wanted);
    }
    if names.is_empty() {
        return Err("no such example in examples/Cargo.toml".into());
    }
    let build = ["build", "--release", "--quiet", "-p", &package.name, "--examples"];
    context.cargo(&build).check()?;
    let mut findings = Vec::new();
    for name in &names {
        let call = Call::read(&table[*name]).map_err(|why| format!("examples/{name}: {why}"))?;
        match run_one(context, name, &call) {
            Ok(last) => println!("  {name}: {last}"),
            Err(failure) => findings.push(format!("example {name}\n{failure}")),
        }
    }
    if findings.is_empty() {
        return passed(format!("{} examples", names.len()));
    }
    Err(Failure(findings.join("\n")))
}

fn run_one(context: &Context, name: &str, call: &Call) -> Result<String, Failure> {
    let program = context.target.join("release/examples").join(name);
    let output = crate::shell::Cmd::new(program)
        .args(&call.args)
        .dir(&context.root)
        // Run from a cargo call or not, an example sees the same.
        .env("CARGO_MANIFEST_DIR", context.root.join("examples"))
        .ceiling(Duration::from_secs(call.ceiling_secs.unwrap_or(CEILING)))
        .interrupt_after(call.interrupt_after_ms.map(Duration::from_millis))
        .check()?;
    let last = output.stdout.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
    match &call.last_line {
        Some(wanted) if wanted != last.trim() => {
            Err(Failure(format!("its last line is `{last}`, not `{wanted}`")))
        }
        _ => Ok(last.to_owned()),
    }
}

impl Call {
    fn read(told: &Value) -> Result<Self, String> {
        let mut call = Call::default();
        for (key, value) in told.as_object().into_iter().flatten() {
            let wrong = || format!("`{key}` has a value of the wrong kind: {value}");
            match key.as_str() {
                "args" => {
                    let words = value.as_array().ok_or_else(wrong)?.iter();
                    let words = words.map(|word| word.as_str().map(str::to_owned));
                    call.args = words.collect::<Option<_>>().ok_or_else(wrong)?;
                }
                "ceiling_secs" => call.ceiling_secs = Some(value.as_u64().ok_or_else(wrong)?),
                "interrupt_after_ms" => {
                    call.interrupt_after_ms = Some(value.as_u64().ok_or_else(wrong)?);
                }
                "last_line" => {
                    call.last_line = Some(value.as_str().ok_or_else(wrong)?.to_owned());
                }
                other => {
                    return Err(format!(
                        "`{other}` is none of args, ceiling_secs, interrupt_after_ms, last_line"
                    ));
                }
            }
        }
        Ok(call)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Call;

    #[test]
    fn a_table_is_read_and_a_misspelled_key_is_named() {
        let call = Call::read(&json!({"args": ["8"], "ceiling_secs": 5})).unwrap();
        assert_eq!((call.args, call.ceiling_secs), (vec!["8".to_owned()], Some(5)));
        assert_eq!(Call::read(&json!(null)).unwrap(), Call::default());
        assert!(Call::read(&json!({"cieling_secs": 5})).unwrap_err().contains("cieling_secs"));
        assert!(Call::read(&json!({"args": "8"})).is_err());
    }
}
