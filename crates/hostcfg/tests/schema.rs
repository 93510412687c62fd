//! The JSON Schema says what the parser does, and the documentation what both do.

#![allow(clippy::unwrap_used, clippy::panic, reason = "all of this file is a test")]

mod samples;

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use boon::Compiler;
use boon::SchemaIndex;
use boon::Schemas;
use hostcfg::HostConfig;
use serde_json::Value;

/// Vectors that the schema judges otherwise than the parser.
const OTHERWISE: &[&str] = &[
    // Accepted by the parser: keys in another case are found, unknown ones and old forms are warned
    // of.
    "case-insensitive-keys",
    "dns-string",
    "unknown-key",
];

struct Schema {
    schemas: Schemas,
    index: SchemaIndex,
}

impl Schema {
    fn new() -> Self {
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        let text: Value = serde_json::from_str(hostcfg::SCHEMA).unwrap();
        compiler.add_resource("host_configuration.json", text).unwrap();
        let index = compiler.compile("host_configuration.json", &mut schemas).unwrap();
        Self { schemas, index }
    }

    fn judge(&self, document: &Value) -> Result<(), String> {
        self.schemas.validate(document, self.index).map_err(|error| format!("{error:#}"))
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn the_schema_is_one() {
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    let meta = compiler.compile("https://json-schema.org/draft/2020-12/schema", &mut schemas);
    let text: Value = serde_json::from_str(hostcfg::SCHEMA).unwrap();
    schemas.validate(&text, meta.unwrap()).unwrap_or_else(|error| panic!("{error:#}"));
}

#[test]
fn good_and_strange_ones_validate() {
    let schema = Schema::new();
    let strange = samples::strange().into_iter().map(|(document, _)| document);
    let in_sense = samples::bad_in_sense().into_iter().map(|(document, _)| document);
    for document in samples::good().into_iter().chain(strange).chain(in_sense) {
        schema.judge(&document).unwrap_or_else(|error| panic!("{document}: {error}"));
    }
}

#[test]
fn bad_ones_do_not() {
    let schema = Schema::new();
    let unknown = samples::unknown_keys().into_iter();
    for (document, _) in samples::bad().into_iter().chain(unknown) {
        assert!(schema.judge(&document).is_err(), "{document}");
    }
}

#[test]
fn every_key_is_in_it_and_explained() {
    let text: Value = serde_json::from_str(hostcfg::SCHEMA).unwrap();
    let properties = text["properties"].as_object().unwrap();
    for key in samples::everything().as_object().unwrap().keys() {
        let description = properties[key]["description"].as_str().unwrap();
        assert!(description.ends_with('.'), "{key}: {description}");
    }
}

#[test]
fn what_is_accepted_of_the_vectors_validates() {
    let schema = Schema::new();
    let mut compared = 0;
    let vectors = root().join("tests/vectors");
    let index: Value =
        serde_json::from_slice(&fs::read(vectors.join("index.json")).unwrap()).unwrap();
    for entry in index["entries"].as_array().unwrap() {
        if entry["kind"] != "host_configuration" {
            continue;
        }
        let name = entry["name"].as_str().unwrap();
        let bytes = fs::read(vectors.join(entry["files"]["file"].as_str().unwrap())).unwrap();
        let Ok(document) = serde_json::from_slice::<Value>(&bytes) else { continue };
        let accepted = HostConfig::parse(&bytes).is_ok();
        if accepted && !OTHERWISE.contains(&name) {
            schema.judge(&document).unwrap_or_else(|error| panic!("{name}: {error}"));
            compared += 1;
        }
    }
    assert!(compared >= 15, "only {compared} compared");
}

/// The JSON blocks of a page.
fn examples(page: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(page)).unwrap();
    let blocks = text.split("```json\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap().to_owned()).collect()
}

#[test]
fn the_examples_of_the_documentation_are_good() {
    let schema = Schema::new();
    let examples = examples("docs/host-configuration.md");
    assert!(examples.len() >= 7, "only {} examples", examples.len());
    for example in examples {
        let config = HostConfig::parse(example.as_bytes());
        let config = config.unwrap_or_else(|error| panic!("{error}:\n{example}"));
        assert!(config.warnings.is_empty(), "{:?}:\n{example}", config.warnings);
        config.provisioning_urls().unwrap();
        let document: Value = serde_json::from_str(&example).unwrap();
        schema.judge(&document).unwrap_or_else(|error| panic!("{error}:\n{example}"));
    }
}

#[test]
fn the_documentation_has_every_key_and_every_setting() {
    let text = fs::read_to_string(root().join("docs/host-configuration.md")).unwrap();
    let schema: Value = serde_json::from_str(hostcfg::SCHEMA).unwrap();
    for key in schema["properties"].as_object().unwrap().keys() {
        assert!(text.contains(&format!("`{key}`")), "{key} is not documented");
    }
    for key in hostcfg::sources::KEYS {
        assert!(text.contains(&format!("`ramstrap.{key}=")), "ramstrap.{key} is not documented");
    }
    for source in hostcfg::sources::Source::ALL {
        assert!(text.contains(&format!("`{source}`")), "{source} is not documented");
    }
}
