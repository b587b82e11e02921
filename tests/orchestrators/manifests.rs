//! What `kubectl kustomize` makes of the overlays, each document checked against the API.

use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;

use crate::tools::{project, python, run};

pub(crate) const DIRECTORY: &str = "examples/kubernetes";

/// The oldest API that has all that we use, and the newest that the validator knows.
const VERSIONS: [&str; 2] = ["1.27", "1.37"];

/// What one overlay comes to.
#[derive(Debug)]
pub(crate) struct Stack {
    pub(crate) overlay: String,
    pub(crate) documents: Vec<Value>,
}

/// Every overlay there is, rendered and valid.
pub(crate) static STACKS: LazyLock<Vec<Stack>> = LazyLock::new(|| {
    let directory = project().join(DIRECTORY).join("overlays");
    let mut names: Vec<String> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names.into_iter().map(Stack::render).collect()
});

/// Documents, and what is wrong with them.
#[track_caller]
pub(crate) fn check(yaml: &str) -> (Vec<Value>, Vec<String>) {
    let mut said = python(&[&["tests/orchestrators/kubernetes.py"], &VERSIONS[..]].concat(), yaml);
    let mistakes = serde_json::from_value(said["mistakes"].take()).unwrap();
    (serde_json::from_value(said["documents"].take()).unwrap(), mistakes)
}

impl Stack {
    fn render(overlay: String) -> Stack {
        let path = project().join(DIRECTORY).join("overlays").join(&overlay);
        let yaml = run(Command::new("kubectl").arg("kustomize").arg(path), "");
        let (documents, mistakes) = check(&yaml);
        assert_eq!(mistakes, Vec::<String>::new(), "{overlay}");
        Stack { overlay, documents }
    }

    /// By its name among the overlays.
    #[track_caller]
    pub(crate) fn named(overlay: &str) -> &'static Stack {
        STACKS.iter().find(|stack| stack.overlay == overlay).unwrap_or_else(|| panic!("no overlay {overlay}"))
    }

    pub(crate) fn all(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.documents.iter().filter(move |document| document["kind"] == kind)
    }

    #[track_caller]
    pub(crate) fn one(&self, kind: &str, name: &str) -> &Value {
        self.all(kind)
            .find(|document| document["metadata"]["name"] == name)
            .unwrap_or_else(|| panic!("{}: no {kind} {name}", self.overlay))
    }

    pub(crate) fn has(&self, kind: &str, name: &str) -> bool {
        self.all(kind).any(|document| document["metadata"]["name"] == name)
    }

    /// Everything that has pods.
    pub(crate) fn workloads(&self) -> impl Iterator<Item = Workload<'_>> {
        let kinds = ["Deployment", "StatefulSet"];
        kinds.into_iter().flat_map(|kind| self.all(kind)).map(|document| Workload { document })
    }

    /// Those whose pods begin with Bellwether.
    pub(crate) fn replicas(&self) -> impl Iterator<Item = Workload<'_>> {
        self.workloads().filter(|workload| workload.image().contains("frappe-prod-image"))
    }

    /// The settings that all replicas share.
    pub(crate) fn settings(&self) -> &Value {
        let mut maps = self.all("ConfigMap");
        let map = maps.next().unwrap();
        assert!(maps.next().is_none());
        assert!(map["metadata"]["name"].as_str().unwrap().starts_with("settings-"), "{map}");
        &map["data"]
    }
}

/// A `Deployment` or a `StatefulSet`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Workload<'a> {
    pub(crate) document: &'a Value,
}

impl<'a> Workload<'a> {
    pub(crate) fn name(self) -> &'a str {
        self.document["metadata"]["name"].as_str().unwrap()
    }

    pub(crate) fn spec(self) -> &'a Value {
        &self.document["spec"]
    }

    pub(crate) fn pod(self) -> &'a Value {
        &self.spec()["template"]["spec"]
    }

    /// The only one that stays.
    pub(crate) fn container(self) -> &'a Value {
        let containers = list(&self.pod()["containers"]);
        assert_eq!(containers.len(), 1, "{}", self.name());
        &containers[0]
    }

    pub(crate) fn image(self) -> &'a str {
        self.container()["image"].as_str().unwrap()
    }

    /// Its variables and their values.
    pub(crate) fn environment(self) -> Vec<(&'a str, &'a str)> {
        let text = |value: &'a Value| value.as_str().unwrap();
        list(&self.container()["env"]).iter().map(|entry| (text(&entry["name"]), text(&entry["value"]))).collect()
    }
}

/// The items of a list that may be missing.
pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A number that has to be there.
#[track_caller]
pub(crate) fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}
