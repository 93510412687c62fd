//! What distance costs one connection, what more of them at once would bring, and what the server can
//! do about it.
//!
//! Two network namespaces of the lab VM are joined by a box with delay, a rate and loss (netem), under the
//! kernel of OS packages. On one side is nginx, on the other the client of `/init` or curl: real
//! sockets, real windows, real congestion control. QEMU counts instructions as for the part `time`, so
//! that a busy host changes nothing: a virtual second is a thousand million instructions, for both sides
//! together, and waiting takes no time. The rates are such that the processor is not what is measured.

mod path;

use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use lab::Client;
use serde_json::Value;
use serde_json::json;

use self::path::LENGTH;
use self::path::PATHS;
use self::path::Path;
use self::path::Way;
use super::Kernels;
use super::table::Table;
use super::table::ratio;
use crate::accel::Accel;
use crate::build;
use crate::harness::BootOptions;
use crate::harness::Guest;
use crate::ospkg;
use crate::progress;

/// Room for the file, for what was downloaded, and for windows as a machine has them: the kernel's own
/// limits grow with memory up to 1 GiB or so.
const MEMORY_MIB: u32 = 1280;

/// How long the machine may take to start, by the host's clock.
const START: Duration = Duration::from_secs(300);

/// How long one download may take, by the guest's clock and by the host's.
const PATIENCE: Duration = Duration::from_secs(3600);

/// Two sides, and a box in between that has the wire's delay, rate and loss. The server's TCP hands its
/// link long packets, as it would hand them to a NIC; cake is there to cut them for the wire, as the NIC
/// would do, so that one at a time is delayed and lost.
const SETTING: &str = "
    mkdir -p /var/lib/nginx /var/log/nginx /srv /run
    busybox truncate -s LENGTH /srv/file.zip
    ip netns add far
    ip netns add between
    ip link add server netns far type veth peer name left netns between
    ip link add client type veth peer name right netns between
    ip -n far address add 198.51.100.1/24 dev server
    ip -n between address add 198.51.100.254/24 dev left
    ip -n between address add 192.0.2.254/24 dev right
    ip address add 192.0.2.1/24 dev client
    ip -n far link set server up
    ip -n between link set left up
    ip -n between link set right up
    ip link set client up
    ip -n far route add default via 198.51.100.254
    ip route add default via 192.0.2.254
    ip netns exec between sysctl -q -w net.ipv4.ip_forward=1
    ip netns exec far tc qdisc add dev server root cake unlimited besteffort split-gso
    ip netns exec far nginx -c /run/nginx.conf
";

const NGINX: &str = "
user root;
worker_processes 1;
pid /run/nginx.pid;
error_log /run/nginx-errors;
events { worker_connections 64; }
http {
    access_log off;
    sendfile on;
    server { listen 198.51.100.1:80; root /srv; }
}
";

/// Mbit/s of each way over one path, in the order of [`Way::ALL`].
type Rates = [f64; Way::ALL.len()];

pub(super) fn measure(kernels: &Kernels) -> Result<(String, Value)> {
    let downloader = std::fs::read(build::throughput()?)?;
    let initramfs = ospkg::initramfs(&build::root().join("tests"), "lab")?;
    let mut options = BootOptions {
        memory_mib: MEMORY_MIB,
        icount: Some(0),
        append: "init_on_alloc=0 init_on_free=0 quiet".to_owned(),
        ports: vec![lab::PORT.to_owned()],
        ..BootOptions::new(kernels.os.clone(), "")
    };
    options.nics.clear();
    let mut guest = Guest::start_with(&options, Accel::Tcg, &initramfs)?;
    let line = guest.port(lab::PORT)?;
    let mut agent = progress::step("start the lab VM with counted instructions", |_| {
        Client::connect(line, START).with_context(|| guest.console())
    })?;
    let windows = furnish(&mut agent, &downloader)?;
    let mut rows = Vec::new();
    progress::step("download over long wires", |step| {
        for path in PATHS {
            let mut rates = Rates::default();
            for (rate, way) in rates.iter_mut().zip(Way::ALL) {
                step.at(&format!("{path}: {}", way.name()));
                *rate = download(&mut agent, &path, way)?;
            }
            rows.push((path, rates));
        }
        hold_to_the_wire(&mut agent)
    })?;
    Ok((text(&rows, &windows), json_of(&rows, &windows)))
}

/// Sets both sides up; returns the largest windows: of the server, and of the client.
fn furnish(agent: &mut Client, downloader: &[u8]) -> Result<[u64; 2]> {
    agent.run(&["busybox", "--install", "-s"])?;
    agent.put("/etc/passwd", 0o644, b"root:x:0:0:root:/tmp:/bin/sh\n")?;
    agent.put("/etc/group", 0o644, b"root:x:0:\nnogroup:x:65534:\n")?;
    agent.put("/run/nginx.conf", 0o644, NGINX.as_bytes())?;
    agent.put("/run/downloader", 0o755, downloader)?;
    agent.script(&SETTING.replace("LENGTH", &LENGTH.to_string()))?;
    let mut largest = |name: &str| -> Result<u64> {
        let value = agent.must(&["cat", &format!("/proc/sys/net/ipv4/{name}")])?;
        let last = value.split_whitespace().last().context("no value")?;
        last.parse().with_context(|| format!("{name}: {value}"))
    };
    Ok([largest("tcp_wmem")?, largest("tcp_rmem")?])
}

/// Mbit/s.
#[expect(clippy::cast_precision_loss, reason = "megabits")]
fn download(agent: &mut Client, path: &Path, way: Way) -> Result<f64> {
    agent.script(&path.commands(way))?;
    let command = way.command();
    let output = agent.run_with(&["sh", "-e", "-c", &command], b"", PATIENCE)?;
    let (text, complaints) = (output.text(), output.complaints());
    ensure!(output.is_success() && complaints.is_empty(), "`{command}`: {text}{complaints}");
    let seconds: f64 = text.trim().parse().with_context(|| format!("`{command}`: {text}"))?;
    Ok(LENGTH as f64 * 8.0 / 1e6 / seconds)
}

/// Fails if what went over the wire were not packets as a wire has them.
fn hold_to_the_wire(agent: &mut Client) -> Result<()> {
    let said = agent
        .must(&["ip", "netns", "exec", "between", "tc", "-s", "qdisc", "show", "dev", "right"])?;
    let words: Vec<&str> = said.split_whitespace().collect();
    let sent = words.windows(5).find_map(|words| match words {
        ["Sent", bytes, "bytes", packets, "pkt"] => {
            Some((bytes.parse::<u64>().ok()?, packets.parse::<u64>().ok()?))
        }
        _ => None,
    });
    let (bytes, packets) = sent.with_context(|| format!("tc says {said}"))?;
    ensure!(bytes <= packets * 1514, "{bytes} bytes went over the wire in only {packets} packets");
    Ok(())
}

fn text(rows: &[(Path, Rates)], windows: &[u64; 2]) -> String {
    let mut table = Table::new(
        ["Mbit/s over this wire"].into_iter().chain(Way::ALL.map(Way::name)).chain(["four of one"]),
    );
    for (path, rates) in rows {
        let [_, one, four, _] = *rates;
        let figures = rates.map(|rate| format!("{rate:.1}"));
        let cells = [path.to_string()].into_iter().chain(figures).chain([ratio(four, one)]);
        table.row(cells);
    }
    let [server, client] = windows.map(|bytes| bytes / 1024);
    format!(
        "{}\nOne file of {} MB over http from nginx, by the guest's clock (1 instruction = 1 ns). Largest \
         windows: server {server} KiB, client {client} KiB. CUBIC on the server unless BBR is said.\n",
        table.render(),
        LENGTH / super::MEGABYTE,
    )
}

fn json_of(rows: &[(Path, Rates)], windows: &[u64; 2]) -> Value {
    let rows: Vec<Value> = rows
        .iter()
        .map(|(path, rates)| {
            let figures: serde_json::Map<String, Value> = Way::ALL
                .iter()
                .zip(rates)
                .map(|(way, rate)| (way.key().to_owned(), json!(rate)))
                .collect();
            json!({
                "mbit": path.mbit,
                "round_trip_ms": path.round_trip_ms,
                "loss_percent": path.loss_percent,
                "mbit_per_s": figures,
            })
        })
        .collect();
    let [server, client] = windows;
    json!({
        "bytes": LENGTH,
        "largest_window_of_server": server,
        "largest_window_of_client": client,
        "clock": "virtual, -icount shift=0,sleep=off: 1 instruction = 1 ns",
        "paths": rows,
    })
}
