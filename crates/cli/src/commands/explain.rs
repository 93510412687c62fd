//! `ramstrap explain`: what a failure code means.

use report::Class;
use report::Code;
use serde_json::Value;
use serde_json::json;

use crate::Error;
use crate::Result;
use crate::nearest::nearest;
use crate::output::Output;

/// Say what failure codes mean and what to do about them; list all codes, or those about something.
///
/// Exit status: 0 found, 1 no code is about these words, 2 no such code.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Codes such as E0404 (404 will do), or words to look for. Without any, all codes are listed.
    #[arg(value_name = "CODE|WORDS")]
    words: Vec<String>,
}

/// Letters that a word may have more than what was looked for: `mirrors`, `encrypted`.
const ENDING: usize = 3;

const EXAMPLES: &str = "\
Examples:
  ramstrap explain E0404
  ramstrap explain E0404 E0405
  ramstrap explain clock
  ramstrap explain dhcp lease
  ramstrap explain --json";

pub(super) fn run(args: &Args, output: &Output) -> Result<()> {
    match args.words.as_slice() {
        [word] if is_number(word) => explain(number(word)?, output),
        words if !words.is_empty() && words.iter().all(|word| is_number(word)) => {
            let codes: Vec<Code> = words.iter().map(|word| number(word)).collect::<Result<_>>()?;
            for code in &codes {
                tell(*code, output);
            }
            let codes: Vec<Value> = codes.into_iter().map(entry).collect();
            output.result(json!({ "codes": codes }));
            Ok(())
        }
        [] => {
            list(Code::ALL, output);
            Ok(())
        }
        words => search(words, output),
    }
}

/// A code without what stands around it in a message that it was copied from, such as `error[E0404]:`.
fn bare(word: &str) -> &str {
    let around = |letter| matches!(letter, '[' | ']' | '(' | ')' | ':' | ',' | '.');
    word.strip_prefix("error").unwrap_or(word).trim_matches(around)
}

/// Whether this was meant as a code: digits, with or without the E.
fn is_number(word: &str) -> bool {
    let word = bare(word);
    let digits = word.strip_prefix(['E', 'e']).unwrap_or(word);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn number(word: &str) -> Result<Code> {
    let word = bare(word);
    let digits = word.strip_prefix(['E', 'e']).unwrap_or(word);
    let id = format!("E{digits:0>4}");
    Code::from_id(&id).ok_or_else(|| {
        let area: Vec<&str> = Code::ALL
            .iter()
            .map(|code| code.id())
            .filter(|it| it.get(..3) == id.get(..3))
            .collect();
        let error = Error::usage(format!("there is no code {id}"));
        let error = match area.as_slice() {
            [] => error,
            area => error.detail(format!("of this kind there are {}", area.join(", "))),
        };
        match nearest(&id, Code::ALL.iter().map(|code| code.id())) {
            Some(it) => error.remedy(format!("did you mean {it}? `ramstrap explain` lists all")),
            None => {
                error.remedy("`ramstrap explain` lists all, `ramstrap explain WORD` looks for one")
            }
        }
    })
}

fn explain(code: Code, output: &Output) -> Result<()> {
    tell(code, output);
    output.result(entry(code));
    Ok(())
}

fn tell(code: Code, output: &Output) {
    output.field(code.id(), code.title());
    output.field("class", format!("{}: {}", code.class(), meaning(code)));
    output.field("remedy", code.remedy());
}

fn list(codes: &[Code], output: &Output) {
    for code in codes {
        output.line(format!("{code}  {:<9}  {}", code.class().to_string(), code.title()));
    }
    let codes: Vec<Value> = codes.iter().map(|code| entry(*code)).collect();
    output.result(json!({ "codes": codes }));
}

/// Whether a text has this word, or one that only ends in another way: `age` is not in `package`, but
/// `clock` is in `clocks`. What is no single word is looked for as it is.
fn is_about(text: &str, word: &str) -> bool {
    if !word.chars().all(char::is_alphanumeric) {
        return text.contains(word);
    }
    let mut words = text.split(|letter: char| !letter.is_alphanumeric());
    words.any(|it| it.strip_prefix(word).is_some_and(|end| end.chars().count() <= ENDING))
}

/// Codes that have all of these words somewhere in number, title, class or remedy.
fn search(words: &[String], output: &Output) -> Result<()> {
    let words: Vec<String> =
        words.iter().flat_map(|it| it.split_whitespace()).map(str::to_lowercase).collect();
    let text = |code: &Code| {
        let (id, title, remedy) = (code.id(), code.title(), code.remedy());
        format!("{id} {title} {} {remedy}", code.class()).to_lowercase()
    };
    let found: Vec<Code> = Code::ALL
        .iter()
        .filter(|code| {
            let text = text(code);
            words.iter().all(|word| is_about(&text, word))
        })
        .copied()
        .collect();
    match found.as_slice() {
        [] => {
            let all: Vec<String> = Code::ALL.iter().map(text).collect();
            let known =
                all.iter().flat_map(|text| text.split(|letter: char| !letter.is_alphanumeric()));
            let known = known.filter(|word| word.len() > 3);
            let near = words.iter().find_map(|word| nearest(word, known.clone()));
            let error = Error::new(format!("no code is about {:?}", words.join(" ")));
            Err(match near {
                Some(word) => error.remedy(format!("did you mean `ramstrap explain {word}`?")),
                None => error.remedy("`ramstrap explain` lists all codes"),
            })
        }
        [code] => explain(*code, output),
        codes => {
            list(codes, output);
            Ok(())
        }
    }
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
        Class::Transient => "may heal by itself, so a machine tries again until its deadline",
        Class::Permanent => "stays the same on every try until somebody changes something",
        Class::Security => "something is served that must not run; that mirror is dropped",
    }
}

#[cfg(test)]
mod tests {
    use super::is_about;
    use super::is_number;
    use super::number;

    #[test]
    fn a_code_is_taken_as_messages_have_it() {
        for word in ["E0404", "e404", "404", "error[E0404]:", "[E0404]", "(E0404),"] {
            assert!(is_number(word), "{word}");
            assert_eq!(number(word).unwrap().id(), "E0404", "{word}");
        }
        for word in ["error", "E", "clock", "[]", "E04O4"] {
            assert!(!is_number(word), "{word}");
        }
    }

    #[test]
    fn words_are_found_and_not_parts_of_words() {
        let text = "the clock's age, of all packages; decryption_identities";
        for word in ["clock", "age", "package", "decryption_identities", "e", "identities"] {
            assert_eq!(is_about(text, word), word != "e", "{word}");
        }
        assert!(!is_about("a message of the package", "age"));
        assert!(!is_about("agreement", "age"));
    }
}
