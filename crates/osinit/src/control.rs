//! `ramstrap upgrade|status|reboot|poweroff` inside of the OS, over a socket that only root reaches.
//!
//! One word goes in, lines come out; the last begins with `ok` or `refused`.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream as Client;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use pid1::Leave;
use report::Coded;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixListener;
use tokio::net::UnixStream;
use tokio::sync::mpsc;

use crate::app::App;

const SOCKET: &str = "/run/ramstrap/control.sock";

/// Longest word that is read.
const LONGEST: usize = 32;

/// How long somebody may take to say it.
const PATIENCE: Duration = Duration::from_secs(5);

const USAGE: &str = "usage: ramstrap COMMAND

  status    how this machine does
  upgrade   fetch and verify the next release, wipe, and start it
  reboot    wipe, and start again from the firmware
  poweroff  wipe, and switch off

Machines are provisioned from outside: `ramstrap provision HOST` on an operator's machine.";

/// Serves those who are logged in, for ever.
pub(crate) async fn serve(app: Rc<App>) {
    let listener = match bind() {
        Ok(listener) => listener,
        Err(error) => return console::line(&format!("{SOCKET}: {error}")),
    };
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::task::spawn_local(answer(Rc::clone(&app), stream));
            }
            // Without file descriptors this would be a hot loop.
            Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
        }
    }
}

fn bind() -> std::io::Result<UnixListener> {
    let listener = UnixListener::bind(SOCKET)?;
    std::fs::set_permissions(SOCKET, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

async fn answer(app: Rc<App>, mut stream: UnixStream) {
    let mut word = [0; LONGEST];
    let Ok(Ok(length)) = tokio::time::timeout(PATIENCE, stream.read(&mut word)).await else {
        return;
    };
    let word = String::from_utf8_lossy(word.get(..length).unwrap_or_default()).trim().to_owned();
    let leave = match word.as_str() {
        "status" => {
            let lines: Vec<String> =
                app.status().iter().map(|(name, value)| format!("{name}: {value}")).collect();
            say(&mut stream, &lines.join("\n")).await;
            say(&mut stream, "ok").await;
            return;
        }
        "upgrade" => match upgrade(&app, &mut stream).await {
            Some(leave) => leave,
            None => return,
        },
        "reboot" => Leave::Reboot,
        "poweroff" => Leave::PowerOff,
        _ => return say(&mut stream, "refused: not a command").await,
    };
    say(&mut stream, "ok").await;
    drop(stream);
    app.depart(leave);
}

async fn upgrade(app: &App, stream: &mut UnixStream) -> Option<Leave> {
    let (sender, mut lines) = mpsc::unbounded_channel();
    let mut tell = move |line: String| {
        // Nobody listens any more only when it is over.
        let _ = sender.send(line);
    };
    let prepared = {
        let preparing = app.prepare_upgrade(&mut tell);
        tokio::pin!(preparing);
        loop {
            tokio::select! {
                biased;
                Some(line) = lines.recv() => say(stream, &line).await,
                prepared = &mut preparing => break prepared,
            }
        }
    };
    match prepared {
        Ok(_) => {
            say(stream, "wiping and starting it; this connection ends").await;
            Some(Leave::Jump)
        }
        Err(refused) => {
            say(stream, &format!("refused: {} {refused}", refused.code())).await;
            None
        }
    }
}

async fn say(stream: &mut UnixStream, line: &str) {
    // Whoever has gone hears nothing.
    let _ = stream.write_all(format!("{line}\n").as_bytes()).await;
}

/// The command of those who are logged in.
pub(crate) fn command_line(words: &[String]) -> ExitCode {
    let [word] = words else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    if !["status", "upgrade", "reboot", "poweroff"].contains(&word.as_str()) {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    }
    match ask(word) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("{SOCKET}: {error}; this command is for root, on a machine of ours");
            ExitCode::from(1)
        }
    }
}

/// Whether it was carried out.
fn ask(word: &str) -> std::io::Result<bool> {
    let mut stream = Client::connect(SOCKET)?;
    stream.write_all(word.as_bytes())?;
    let mut last = String::new();
    for line in BufReader::new(stream).lines() {
        let line = line?;
        if line != "ok" {
            println!("{line}");
        }
        last = line;
    }
    Ok(last == "ok")
}
