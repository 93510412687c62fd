//! `ramstrap ospkg diff`.

use serde_json::Value;
use serde_json::json;

use crate::Error;
use crate::Result;
use crate::commands::count;
use crate::commands::pair::Pair;
use crate::commands::size;
use crate::difference;
use crate::difference::Blob;
use crate::difference::Difference;
use crate::difference::File;
use crate::difference::Files;
use crate::difference::Kernel;
use crate::difference::Key;
use crate::difference::Members;
use crate::difference::Signers;
use crate::difference::Words;
use crate::output::Output;
use crate::package::Names;
use crate::progress::Progress;

/// Files that are shown without --all.
const SHOWN: usize = 40;
/// Letters of a digest that tell two apart at a glance.
const SHORT: usize = 12;

/// Say what changed from one OS package to another, for who signs or runs the later one.
///
/// Kernel, command line, manifest, signers, whatever else is in the archive, and every file of the
/// initramfs are compared. Nothing is verified. What the initramfs holds is compared as the kernel will unpack it, however it is
/// compressed; times of modification do not count. (`ramstrap compare` answers another question:
/// at which bytes two builds that should be the same are not.)
///
/// Exit status: 0 the same, 1 different or unreadable, 2 wrong usage.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    pair: Pair,
}

const EXAMPLES: &str = "\
Examples:
  ramstrap ospkg diff published/vpn.json candidate/vpn.json
  ramstrap ospkg diff --json old.zip new.zip | jq -r '.files.changed[].path'";

pub(super) fn run(args: &Args, output: &Output) -> Result<()> {
    let pair = &args.pair;
    let names = [Names::of_existing(&pair.first)?, Names::of_existing(&pair.second)?];
    let difference = {
        let _progress = Progress::spinner("unpacking");
        difference::packages(&names[0], &names[1])?
    };
    let word = if difference.same { "same" } else { "different" };
    output.verdict(difference.same, word, pair.names());
    if difference.descriptor.is_none() {
        output.note("one of them has no descriptor beside it: signers are not compared");
    }
    let mut result = json!({ "packages": [names[0].archive, names[1].archive] });
    merge(&mut result, &difference);
    if difference.same {
        output.result(result);
        return Ok(());
    }
    show(&difference, pair.limit(SHOWN), output);
    Err(Error::new(format!("{} are different packages", pair.names()))
        .remedy("`ramstrap ospkg verify` says whether machines take one; `ramstrap compare` shows bytes")
        .data(result))
}

/// The difference as a script reads it: `files` is there, or `files_problem`.
fn merge(result: &mut Value, difference: &Difference) {
    let Difference { files, .. } = difference;
    let value = serde_json::to_value(difference).unwrap_or_default();
    if let (Value::Object(all), Value::Object(more)) = (result, value) {
        all.extend(more.into_iter().filter(|(key, _)| key != "files"));
        match files {
            Ok(files) => {
                all.insert("files".to_owned(), serde_json::to_value(files).unwrap_or_default())
            }
            Err(problem) => all.insert("files_problem".to_owned(), problem.clone().into()),
        };
    }
}

fn show(difference: &Difference, limit: usize, output: &Output) {
    let Difference { archive, kernel, initramfs, cmdline, manifest, descriptor, .. } = difference;
    let digests = |one: &str, other: &str| format!("SHA-256 {} → {}", short(one), short(other));
    if !archive.same {
        let (one, other) = (&archive.first, &archive.second);
        let digests = digests(&one.sha256, &other.sha256);
        output.field("archive", format!("{}, {digests}", sizes(one.size, other.size)));
    }
    for key in descriptor.iter().flatten().chain(manifest) {
        // Else they would be taken for these two themselves.
        let name = match key.key.as_str() {
            member @ ("kernel" | "initramfs") => format!("{member} name"),
            other => other.to_owned(),
        };
        output.field(&name, values(key));
    }
    if let Some(signers) = &difference.signers {
        show_signers(signers, output);
    }
    if !kernel.same {
        show_kernel(&kernel.first, &kernel.second, output);
    }
    show_words(cmdline, output);
    if !initramfs.same {
        output.field("initramfs", sizes(initramfs.first.size, initramfs.second.size));
    }
    show_members(&difference.members, output);
    match &difference.files {
        Ok(files) if !initramfs.same => show_files(files, limit, output),
        Ok(_) => {}
        Err(problem) => output.field("files", format!("not compared: {problem}")),
    }
    let said = !kernel.same
        || !initramfs.same
        || !manifest.is_empty()
        || !cmdline.is_same()
        || !difference.members.is_same();
    if !archive.same && !said {
        output
            .line("the contents are the same, packed in another way: signatures do not carry over");
    }
}

fn show_kernel(first: &Kernel, second: &Kernel, output: &Output) {
    let release = |kernel: &Kernel| {
        let version = kernel.version.as_deref().unwrap_or("?");
        version.split(' ').next().unwrap_or("?").to_owned()
    };
    let (one, other) = (release(first), release(second));
    let sizes = sizes(first.blob.size, second.blob.size);
    let release =
        if one == other { format!("{one}, another build") } else { format!("{one} → {other}") };
    output.field("kernel", format!("{release}, {sizes}"));
    for (sign, kernel) in [("-", first), ("+", second)] {
        if first.version != second.version {
            output.line(format!(
                "  {sign} {}",
                kernel.version.as_deref().unwrap_or("(says no version)")
            ));
        }
    }
}

fn show_words(words: &Words, output: &Output) {
    if words.reordered {
        output.field("cmdline", "the same words in another order");
        output.line(format!("  - {}", words.first));
        output.line(format!("  + {}", words.second));
        return;
    }
    let removed = words.removed.iter().map(|word| format!("-{word}"));
    let added = words.added.iter().map(|word| format!("+{word}"));
    let all: Vec<String> = removed.chain(added).collect();
    if !all.is_empty() {
        output.field("cmdline", all.join("  "));
    }
}

fn show_signers(signers: &Signers, output: &Output) {
    if signers.removed.is_empty() && signers.added.is_empty() {
        return;
    }
    let lists = [("-", &signers.removed), ("+", &signers.added), ("=", &signers.both)];
    let all = lists.into_iter().flat_map(|(sign, list)| {
        list.iter().map(move |it| format!("{sign}{} ({})", it.subject, short(&it.key)))
    });
    output.field("signers", all.collect::<Vec<_>>().join("  "));
}

fn show_members(members: &Members, output: &Output) {
    if members.is_same() {
        return;
    }
    let facts = |it: &Blob| format!("{} {}", size(it.size), short(&it.sha256));
    let Members { removed, added, changed } = members;
    let removed = removed.iter().map(|it| format!("  - {}  {}", it.name, facts(&it.blob)));
    let added = added.iter().map(|it| format!("  + {}  {}", it.name, facts(&it.blob)));
    let changed = changed
        .iter()
        .map(|it| format!("  ~ {}  {} → {}", it.name, facts(&it.first), facts(&it.second)));
    output.field("members", "beside manifest, kernel and initramfs");
    for line in removed.chain(added).chain(changed) {
        output.line(line);
    }
}

fn show_files(files: &Files, limit: usize, output: &Output) {
    let Files { removed, added, changed, alike } = files;
    output.field(
        "files",
        format!(
            "{} added, {} removed, {} changed, {alike} alike",
            added.len(),
            removed.len(),
            changed.len()
        ),
    );
    if removed.is_empty() && added.is_empty() && changed.is_empty() {
        output.line("  every file is the same: compressed in another way, or other times");
    }
    let removed = removed.iter().map(|it| format!("  - {}  {}", it.path, facts(&it.file)));
    let added = added.iter().map(|it| format!("  + {}  {}", it.path, facts(&it.file)));
    let changed = changed.iter().map(|it| {
        let from_to = format!("{} → {}", facts(&it.first), facts(&it.second));
        format!("  ~ {}  {}: {from_to}", it.path, it.what.join(", "))
    });
    let lines: Vec<String> = removed.chain(added).chain(changed).collect();
    for line in lines.iter().take(limit) {
        output.line(line);
    }
    let hidden = lines.len().saturating_sub(limit);
    if hidden > 0 {
        output.line(format!("  … and {}; --all shows them", count(hidden, "more file")));
    }
}

fn facts(file: &File) -> String {
    let File { kind, mode, owner, size: length, sha256, target } = file;
    let mut facts = vec![mode.clone()];
    if *kind != "file" {
        facts.insert(0, (*kind).to_owned());
    }
    if owner != "0:0" {
        facts.push(owner.clone());
    }
    facts.extend(length.map(size));
    facts.extend(sha256.as_deref().map(short));
    facts.extend(target.as_ref().map(|target| format!("to {target}")));
    facts.join(" ")
}

fn sizes(one: u64, other: u64) -> String {
    if one == other { size(one) } else { format!("{} → {}", size(one), size(other)) }
}

fn values(key: &Key) -> String {
    let text = |value: &Option<Value>| match value {
        None => "(none)".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    };
    format!("{} → {}", text(&key.first), text(&key.second))
}

fn short(digest: &str) -> String {
    digest.chars().take(SHORT).collect()
}
