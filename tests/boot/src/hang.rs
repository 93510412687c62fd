//! Makes `/init` hang: the one program that runs is left where it is, over and over at one place, while
//! the kernel, its timers and its interrupts go on.
//!
//! It is done from outside, through QEMU's stub for debuggers: nothing in a boot image can be asked to
//! hang. The stub is spoken to when the processor is in user mode, which is `/init`, and writes a jump
//! to itself there.

use std::io::Read;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;

/// How often the processor is looked at before it is given up on.
const LOOKS: usize = 2000;

/// How long it runs in between.
const PAUSE: Duration = Duration::from_millis(3);

/// The stub's answer takes moments, but hosts are busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// Stops a machine that runs.
const STOP: u8 = 3;

/// How the stub begins when it says that the machine has stopped.
const STOPPED: char = 'T';

/// Where the registers' values are in the stub's list, in bytes: 16 general ones of 8 bytes come before.
const RIP: usize = 16 * 8;
/// Behind RIP and four bytes of flags.
const CS: usize = RIP + 8 + 4;

/// QEMU's arguments for [`now`].
pub(crate) fn qemu_args(socket: &Path) -> [String; 2] {
    ["-gdb".to_owned(), format!("unix:path={},server=on,wait=off", socket.display())]
}

/// Makes the program hang that the machine runs.
///
/// # Errors
/// If QEMU does not answer, or no program runs.
pub(crate) fn now(socket: &Path) -> Result<()> {
    let stream = UnixStream::connect(socket).context("no debugger's stub")?;
    stream.set_read_timeout(Some(PATIENCE))?;
    // To connect stops the machine.
    let mut stub = Stub(stream);
    let hung = catch(&mut stub);
    // Whatever came of it, the machine goes on.
    stub.send("D")?;
    hung
}

/// Waits for the processor to run a program, and leaves it there.
fn catch(stub: &mut Stub) -> Result<()> {
    for _ in 0..LOOKS {
        let registers = hex::decode(stub.ask("g")?).context("registers")?;
        let at = |place: usize| registers.get(place..)?.first_chunk::<8>().copied();
        let (rip, cs) = at(RIP).zip(at(CS)).context("too few registers")?;
        let [cs, ..] = cs;
        if cs & 3 == 3 {
            let rip = u64::from_le_bytes(rip);
            let answer = stub.ask(&format!("M{rip:x},2:ebfe"))?;
            if answer != "OK" {
                bail!("nothing can be written at {rip:#x}: {answer}");
            }
            return Ok(());
        }
        stub.send("c")?;
        thread::sleep(PAUSE);
        stub.0.write_all(&[STOP])?;
        while !stub.receive()?.starts_with(STOPPED) {}
    }
    bail!("no program was running whenever the machine was looked at")
}

/// The remote protocol of GDB.
struct Stub(UnixStream);

impl Stub {
    fn ask(&mut self, packet: &str) -> Result<String> {
        self.send(packet)?;
        loop {
            let answer = self.receive()?;
            // That it has stopped is also said unasked, when somebody connects.
            if !answer.starts_with(STOPPED) {
                return Ok(answer);
            }
        }
    }

    fn send(&mut self, packet: &str) -> Result<()> {
        let sum = packet.bytes().fold(0_u8, u8::wrapping_add);
        write!(self.0, "${packet}#{sum:02x}").context("QEMU does not listen")
    }

    /// The next packet; what is between packets are acknowledgements.
    fn receive(&mut self) -> Result<String> {
        while self.byte()? != b'$' {}
        let mut packet = Vec::new();
        loop {
            match self.byte()? {
                b'#' => break,
                byte => packet.push(byte),
            }
        }
        // The checksum: over a socket nothing gets lost.
        self.byte()?;
        self.byte()?;
        self.0.write_all(b"+")?;
        Ok(String::from_utf8(packet)?)
    }

    fn byte(&mut self) -> Result<u8> {
        let mut byte = [0];
        self.0.read_exact(&mut byte).context("QEMU does not answer")?;
        let [byte] = byte;
        Ok(byte)
    }
}
