//! `ramstrap explain`: what a failure code means.

use clap::builder::PossibleValuesParser;
use clap::builder::TypedValueParser;
use report::Code;
use serde_json::Value;
use serde_json::json;

use crate::Result;
use crate::output::Output;

/// Say what a failure code means and what to do about it.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Such as E0404. Without it all codes are listed.
    #[arg(value_parser = codes(), ignore_case = true, hide_possible_values = true)]
    code: Option<Code>,
}

const EXAMPLES: &str = "\
Examples:
  ramstrap explain E0404
  ramstrap explain --json";

fn codes() -> impl TypedValueParser<Value = Code> {
    PossibleValuesParser::new(Code::ALL.iter().map(|code| code.id()))
        .try_map(|text| Code::from_id(&text.to_uppercase()).ok_or("there is no such code"))
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "the same shape as the other subcommands', though nothing can go wrong here"
)]
pub(super) fn run(args: &Args, output: &Output) -> Result<()> {
    match args.code {
        Some(code) => {
            output.field(code.id(), code.title());
            output.field("class", format!("{}: {}", code.class(), meaning(code)));
            output.field("remedy", code.remedy());
            output.result(entry(code));
        }
        None => {
            for code in Code::ALL {
                output.line(format!("{code}  {:<9}  {}", code.class().to_string(), code.title()));
            }
            let all: Vec<Value> = Code::ALL.iter().map(|code| entry(*code)).collect();
            output.result(json!({ "codes": all }));
        }
    }
    Ok(())
}

fn entry(code: Code) -> Value {
    json!({
        "code": code.id(),
        "class": code.class().to_string(),
        "title": code.title(),
        "remedy": code.remedy(),
    })
}

fn meaning(code: Code) -> &'static str {
    match code.class() {
        report::Class::Transient => {
            "may heal by itself, so a machine tries again until its deadline"
        }
        report::Class::Permanent => "stays the same on every try until somebody changes something",
        report::Class::Security => "something is served that must not run; that mirror is dropped",
    }
}
