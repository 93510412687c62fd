//! `ramstrap store`: kept inputs of releases.

use std::path::PathBuf;

use clap::Subcommand;
use rebuild::store::Origin;
use rebuild::store::Store;
use serde_json::json;

use crate::Error;
use crate::Result;
use crate::commands::count;
use crate::commands::size;
use crate::output::Output;
use crate::progress::Progress;

/// Largest file that is taken out of a store.
const MAX_FILE: u64 = 8 << 30;

/// Keep the inputs of releases (packages, sources) by their digests, so that the releases can be built
/// again.
///
/// A store is a directory with files sha256/HEX. Put beside the release on a web server, it is what
/// `cargo xtask ospkg rebuild --inputs URL` takes. Nothing in it is trusted: digests are checked.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true, after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

const EXAMPLES: &str = "\
Examples:
  ramstrap store put kept/ linux-source-6.12.tar.xz
  ramstrap store get https://images.example.org/kept/ 585a4a07…3961f \\
      --out source.tar.xz
  ramstrap store list kept/
  ramstrap store verify kept/";

#[derive(Debug, Subcommand)]
enum What {
    Put(Put),
    Get(Get),
    /// List what is in a store
    #[command(after_help = "Examples:\n  ramstrap store list kept/")]
    List(List),
    /// Read everything in a store and compare it with its digests
    #[command(after_help = "Examples:\n  ramstrap store verify kept/")]
    Verify(List),
}

/// Put files into a store, which is made if it is missing.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  ramstrap store put kept/ linux-source-6.12.tar.xz")]
struct Put {
    /// The store.
    #[arg(value_name = "DIR")]
    store: PathBuf,
    /// What to put in.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// The digest that the file must have; for one file only.
    #[arg(long, value_name = "HEX")]
    sha256: Option<String>,
}

/// Take a file out of a store: a directory, or a web server's.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    ramstrap store get https://images.example.org/kept/ SHA256 --out source.tar.xz")]
struct Get {
    /// The store: a directory, or the http(s) URL of one.
    #[arg(value_name = "DIR|URL")]
    store: String,
    /// SHA-256 of the file.
    #[arg(value_name = "HEX")]
    sha256: String,
    /// Where it goes.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Debug, clap::Args)]
struct List {
    /// The store.
    #[arg(value_name = "DIR")]
    store: PathBuf,
}

pub(super) fn run(args: &Args, output: &Output) -> Result<()> {
    match &args.what {
        What::Put(args) => put(args, output),
        What::Get(args) => get(args, output),
        What::List(args) => list(args, output),
        What::Verify(args) => verify(args, output),
    }
}

fn put(args: &Put, output: &Output) -> Result<()> {
    if args.sha256.is_some() && args.files.len() != 1 {
        return Err(Error::usage("--sha256 is for one file"));
    }
    let store = Store::create(&args.store)?;
    let mut stored = Vec::new();
    for file in &args.files {
        let one = {
            let _progress = Progress::spinner("copying");
            store.put_file(file, args.sha256.as_deref())?
        };
        let remark = if one.new { "" } else { " (was there)" };
        output.line(format!("{}  {}{remark}", one.sha256, file.display()));
        stored
            .push(json!({ "file": file, "sha256": one.sha256, "size": one.size, "new": one.new }));
    }
    output.result(json!({ "store": args.store, "stored": stored }));
    Ok(())
}

fn get(args: &Get, output: &Output) -> Result<()> {
    {
        let _progress = Progress::spinner("fetching");
        Origin::parse(&args.store)?.fetch(&args.sha256, MAX_FILE, &args.out)?;
    }
    output.line(format!("{}  {}", args.sha256, args.out.display()));
    output.result(json!({ "file": args.out, "sha256": args.sha256 }));
    Ok(())
}

fn list(args: &List, output: &Output) -> Result<()> {
    let stored = Store::open(&args.store)?.list()?;
    for file in &stored {
        output.line(format!("{}  {}", file.sha256, size(file.size)));
    }
    let stored: Vec<_> =
        stored.iter().map(|it| json!({ "sha256": it.sha256, "size": it.size })).collect();
    output.result(json!({ "store": args.store, "files": stored }));
    Ok(())
}

fn verify(args: &List, output: &Output) -> Result<()> {
    let found = {
        let _progress = Progress::spinner("reading");
        Store::open(&args.store)?.verify()?
    };
    if found.damaged.is_empty() && found.strange.is_empty() {
        output.verdict(true, "intact", args.store.display());
        output.field("files", format!("{}, {}", count(found.good, "file"), size(found.bytes)));
        output.result(json!({
            "store": args.store,
            "files": found.good,
            "bytes": found.bytes,
        }));
        return Ok(());
    }
    let lines = found
        .damaged
        .iter()
        .map(|(name, is)| format!("{name}: damaged, its SHA-256 is {is}"))
        .chain(found.strange.iter().map(|name| format!("{name}: no name of a file in a store")));
    let error = Error::new(format!(
        "{}: {} damaged, {} that do not belong there, {} intact",
        args.store.display(),
        count(found.damaged.len(), "file"),
        count(found.strange.len(), "file"),
        count(found.good, "file"),
    ));
    Err(lines
        .fold(error, Error::detail)
        .remedy("delete what is named, and put damaged files in again from another copy"))
}
