//! docs/api: each block of commands is run as it stands there, and answers what stands below it.

use crate::stack::Stack;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Commands, and what stands below them: its language and text.
struct Example {
    commands: String,
    expected: Option<(String, String)>,
}

/// The examples of a page, in their order.
fn examples(page: &str) -> Vec<Example> {
    let mut found: Vec<Example> = Vec::new();
    let mut lines = page.lines();
    let mut follows = false;
    while let Some(line) = lines.next() {
        let Some(language) = line.strip_prefix("```") else {
            follows &= line.is_empty();
            continue;
        };
        let block: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
        let block = block.join("\n");
        if language == "sh" {
            found.push(Example { commands: block, expected: None });
        } else if let Some(last) = found.last_mut().filter(|_| follows) {
            last.expected = Some((language.to_owned(), block));
        }
        follows = language == "sh";
    }
    found
}

/// `…` is whatever is there, but something.
fn matches(expected: &Value, found: &Value) -> bool {
    match (expected, found) {
        (Value::String(any), found) if any == "…" => !found.is_null() && found != "",
        (Value::Array(e), Value::Array(f)) => e.len() == f.len() && e.iter().zip(f).all(|(e, f)| matches(e, f)),
        (Value::Object(e), Value::Object(f)) => {
            e.len() == f.len() && e.iter().all(|(key, e)| f.get(key).is_some_and(|f| matches(e, f)))
        }
        (expected, found) => expected == found,
    }
}

/// JSON values one after another.
fn values(text: &str) -> Vec<Value> {
    let values: Result<Vec<Value>, _> = serde_json::Deserializer::from_str(text).into_iter().collect();
    values.unwrap_or_else(|e| panic!("not JSON ({e}): {text}"))
}

fn compare(page: &str, example: &Example, found: &str) {
    let Some((language, expected)) = &example.expected else { return };
    let as_expected = match language.as_str() {
        "json" => {
            let expected = values(&expected.replace(": …", ": \"…\""));
            let found = values(found);
            expected.len() == found.len() && expected.iter().zip(&found).all(|(e, f)| matches(e, f))
        }
        "text" => expected.trim() == found.trim(),
        other => panic!("{page}: a block of {other}"),
    };
    assert!(as_expected, "{page}:\n{}\nis documented with\n{expected}\nbut answers\n{found}", example.commands);
}

/// Runs all of a page's commands in one shell; what each block wrote.
fn run(examples: &[Example], host: &str, folder: &Path) -> Vec<String> {
    let mut script = "set -u\n".to_owned();
    for (n, example) in examples.iter().enumerate() {
        let commands = example.commands.replace("localhost:8080", host);
        script.push_str(&format!("{{\n{commands}\n}} > out-{n} 2>&1\n"));
    }
    let done = Command::new("bash").arg("-c").arg(script).current_dir(folder).output().unwrap();
    assert!(done.stderr.is_empty(), "{}", String::from_utf8_lossy(&done.stderr));
    (0..examples.len()).map(|n| std::fs::read_to_string(folder.join(format!("out-{n}"))).unwrap_or_default()).collect()
}

#[tokio::test]
async fn every_example_of_the_api_pages_answers_as_documented() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/api");
    let stack = Stack::start(&[]).await;
    let host = stack.url.trim_start_matches("http://").to_owned();
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let page = path.file_name().unwrap().to_string_lossy().into_owned();
        let examples = examples(&std::fs::read_to_string(&path).unwrap());
        let place = tempfile::TempDir::new().unwrap();
        let (some, host) = (examples.len(), host.clone());
        let (examples, found) = tokio::task::spawn_blocking(move || {
            let found = run(&examples, &host, place.path());
            (examples, found)
        })
        .await
        .unwrap();
        for (example, found) in examples.iter().zip(&found) {
            assert!(example.expected.is_some(), "{page}: nothing stands below\n{}", example.commands);
            compare(&page, example, found);
        }
        count += some;
    }
    assert!(count >= 20, "{count}");
}
