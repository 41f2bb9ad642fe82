//! The workspace as `cargo metadata` and `git ls-files` tell it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::shell::Cmd;
use crate::step::Failure;

/// The members, in the order of their names.
#[derive(Default)]
pub(crate) struct Workspace {
    pub(crate) packages: Vec<Package>,
}

/// One member.
#[derive(Clone, Default)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// Its folder, relative to the root, with `/`.
    pub(crate) dir: String,
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) features: BTreeMap<String, Vec<String>>,
    pub(crate) targets: Vec<Target>,
    pub(crate) rust_version: Option<String>,
    /// Whether it could be uploaded to a registry.
    pub(crate) publishable: bool,
    /// `[package.metadata]`.
    pub(crate) metadata: Value,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// The name the code sees, with `_`.
    pub(crate) code_name: String,
    pub(crate) kind: Kind,
    /// Whether only the model checker's builds (`cfg(loom)`) see it.
    pub(crate) for_loom: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Normal,
    Build,
    Dev,
}

#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) kind: String,
    /// Its root file, relative to the workspace's root.
    pub(crate) source: String,
}

/// The whole graph, registry packages included: package id to what it says and what it pulls in.
pub(crate) struct Graph {
    pub(crate) nodes: BTreeMap<String, Node>,
}

pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) rust_version: Option<String>,
    pub(crate) member: bool,
    /// Ids of normal and build dependencies.
    pub(crate) pulls: Vec<String>,
}

impl Workspace {
    /// Reads the members, and where cargo puts its builds.
    pub(crate) fn read(root: &Path) -> Result<(Self, PathBuf), Failure> {
        let told = metadata(root, &["--no-deps"])?;
        let target = PathBuf::from(text(&told["target_directory"]));
        let mut packages: Vec<Package> =
            list(&told["packages"]).iter().map(|package| Package::read(root, package)).collect();
        packages.sort_by(|a, b| a.name.cmp(&b.name));
        Ok((Workspace { packages }, target))
    }

    pub(crate) fn package(&self, name: &str) -> Option<&Package> {
        self.packages.iter().find(|package| package.name == name || package.short() == name)
    }
}

impl Package {
    fn read(root: &Path, told: &Value) -> Self {
        let relative = |path: &str| {
            let path = Path::new(path);
            path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned()
        };
        let dependencies = list(&told["dependencies"]).iter().map(|dependency| {
            let name = text(&dependency["name"]);
            let code_name = dependency["rename"].as_str().unwrap_or(&name).replace('-', "_");
            let kind = match dependency["kind"].as_str() {
                Some("dev") => Kind::Dev,
                Some("build") => Kind::Build,
                _ => Kind::Normal,
            };
            let for_loom = dependency["target"].as_str() == Some("cfg(loom)");
            Dependency { name, code_name, kind, for_loom }
        });
        let targets = list(&told["targets"]).iter().map(|target| Target {
            name: text(&target["name"]),
            kind: list(&target["kind"]).first().map(text).unwrap_or_default(),
            source: relative(&text(&target["src_path"])),
        });
        let features = told["features"].as_object().into_iter().flatten().map(|(name, implied)| {
            (name.clone(), list(implied).iter().map(text).collect::<Vec<_>>())
        });
        let manifest = relative(&text(&told["manifest_path"]));
        Package {
            name: text(&told["name"]),
            dir: manifest.trim_end_matches("Cargo.toml").trim_end_matches('/').to_owned(),
            dependencies: dependencies.collect(),
            features: features.collect(),
            targets: targets.collect(),
            rust_version: told["rust_version"].as_str().map(str::to_owned),
            publishable: told["publish"].as_array().is_none_or(|registries| !registries.is_empty()),
            metadata: told["metadata"].clone(),
        }
    }

    /// The name without the family's prefix: `core`, `net`; the facade keeps its own.
    pub(crate) fn short(&self) -> &str {
        self.name.strip_prefix("asupersync-").unwrap_or(&self.name)
    }

    /// The library's root file, procedural macros included.
    pub(crate) fn library(&self) -> Option<&Target> {
        self.targets.iter().find(|target| matches!(target.kind.as_str(), "lib" | "proc-macro"))
    }

    /// Whether this is one of the family's library crates.
    pub(crate) fn is_library(&self) -> bool {
        self.dir.starts_with("crates/") && self.short() != "bench" && self.library().is_some()
    }

    pub(crate) fn has_test(&self, name: &str) -> bool {
        self.targets.iter().any(|target| target.kind == "test" && target.name == name)
    }
}

impl Graph {
    /// Reads the resolved graph of the whole workspace.
    pub(crate) fn read(root: &Path) -> Result<Self, Failure> {
        let told = metadata(root, &[])?;
        let members: BTreeSet<String> = list(&told["workspace_members"]).iter().map(text).collect();
        let mut nodes = BTreeMap::new();
        for package in list(&told["packages"]) {
            let id = text(&package["id"]);
            let node = Node {
                name: text(&package["name"]),
                version: text(&package["version"]),
                rust_version: package["rust_version"].as_str().map(str::to_owned),
                member: members.contains(&id),
                pulls: Vec::new(),
            };
            nodes.insert(id, node);
        }
        for resolved in list(&told["resolve"]["nodes"]) {
            let pulls = list(&resolved["deps"]).iter().filter(|dependency| {
                list(&dependency["dep_kinds"])
                    .iter()
                    .any(|kind| kind["kind"].as_str() != Some("dev"))
            });
            let pulls = pulls.map(|dependency| text(&dependency["pkg"])).collect();
            if let Some(node) = nodes.get_mut(&text(&resolved["id"])) {
                node.pulls = pulls;
            }
        }
        Ok(Graph { nodes })
    }

    /// How a member reaches a package through normal and build dependencies, as names, or `None`.
    pub(crate) fn way(&self, from: &str, to: &str) -> Option<Vec<String>> {
        let start = self.nodes.iter().find(|(_, node)| node.member && node.name == from)?.0;
        let mut ways = vec![vec![start]];
        let mut seen = BTreeSet::from([start]);
        while let Some(way) = ways.pop() {
            let node = &self.nodes[*way.last()?];
            if node.name == to && way.len() > 1 {
                return Some(way.iter().map(|id| self.nodes[*id].name.clone()).collect());
            }
            for next in &node.pulls {
                if self.nodes.contains_key(next) && seen.insert(next) {
                    let mut longer = way.clone();
                    longer.push(next);
                    ways.push(longer);
                }
            }
        }
        None
    }
}

/// Every file that git knows or would add, with `/`, relative to the root.
pub(crate) fn files(root: &Path) -> Result<Vec<String>, Failure> {
    let call = ["ls-files", "--cached", "--others", "--exclude-standard"];
    let output =
        Cmd::new("git").args(["-c", "core.quotePath=false"]).args(call).dir(root).check()?;
    let unique: BTreeSet<String> = output.stdout.lines().map(str::to_owned).collect();
    Ok(unique.into_iter().filter(|path| root.join(path).is_file()).collect())
}

fn metadata(root: &Path, more: &[&str]) -> Result<Value, Failure> {
    let cmd = Cmd::new("cargo").args(["metadata", "--format-version", "1"]).args(more).dir(root);
    let output = cmd.check()?;
    serde_json::from_str(&output.stdout)
        .map_err(|error| Failure(format!("`cargo metadata` printed what is no JSON: {error}")))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
