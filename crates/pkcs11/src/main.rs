//! Keys on PKCS#11 tokens, for `ramstrap`, which runs this program and talks to it over a pipe.

use std::io::BufRead;
use std::io::IsTerminal;
use std::io::Read;
use std::io::Write;
use std::process::ExitCode;

use ramstrap_pkcs11::module::Conversation;
use ramstrap_pkcs11::protocol::Answer;
use ramstrap_pkcs11::protocol::Failure;
use ramstrap_pkcs11::protocol::MAX_LINE;
use zeroize::Zeroizing;

fn main() -> ExitCode {
    let stdin = std::io::stdin();
    if std::env::args_os().len() > 1 || stdin.is_terminal() {
        eprintln!(
            "ramstrap-pkcs11 {}: ramstrap runs this program where a key is on a PKCS#11 token:\n  \
             ramstrap ospkg sign --key 'pkcs11:token=…;object=…?module-path=…' --cert cert.pem os.json",
            env!("CARGO_PKG_VERSION")
        );
        return ExitCode::from(2);
    }
    let mut input = stdin.lock();
    let mut conversation = Conversation::default();
    loop {
        // Room from the start: a PIN must not stay behind in memory that growing gave back.
        let mut line = Zeroizing::new(String::with_capacity(MAX_LINE));
        match input.by_ref().take(MAX_LINE as u64).read_line(&mut line) {
            Ok(0) => return ExitCode::SUCCESS,
            Ok(_) => {}
            Err(_) => return ExitCode::FAILURE,
        }
        let answer = match serde_json::from_str(&line) {
            Ok(request) => conversation.answer(request),
            Err(_) => Answer::Failed(Failure::new(
                "ramstrap-pkcs11 does not understand this ramstrap",
                "install both from the same release",
            )),
        };
        let Ok(mut text) = serde_json::to_string(&answer) else { return ExitCode::FAILURE };
        text.push('\n');
        let mut output = std::io::stdout().lock();
        if output.write_all(text.as_bytes()).and_then(|()| output.flush()).is_err() {
            return ExitCode::FAILURE;
        }
    }
}
