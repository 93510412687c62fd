//! The configuration of chronyd.

use core::fmt::Write;

use provision::config::Time;

/// Sets and keeps the clock, serves nobody, takes no commands, keeps no file.
#[must_use]
pub fn chrony(time: &Time) -> String {
    let mut text = String::new();
    let nts = if time.nts { " nts" } else { "" };
    for server in &time.servers {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "server {server} iburst{nts}");
    }
    // A machine whose RTC is dead may be years off: it may step, but only at the start.
    text.push_str(
        "makestep 1.0 5\n\
         maxupdateskew 100.0\n\
         port 0\n\
         cmdport 0\n\
         bindcmdaddress /\n\
         pidfile /run/ramstrap/chronyd.pid\n",
    );
    text
}
