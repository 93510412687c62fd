//! Host configurations, good and bad, that several tests look at.

use serde_json::Value;
use serde_json::json;

/// A certificate and a key in form only: what is in them is judged elsewhere.
pub(crate) const CERTIFICATE: &str =
    "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
pub(crate) const KEY: &str = "-----BEGIN PRIVATE KEY-----\nQ0FOQVJZ\n-----END PRIVATE KEY-----\n";

/// A minimal configuration with these keys added or replaced.
pub(crate) fn with(extra: Value) -> Value {
    let mut document =
        json!({"network_mode": "dhcp", "ospkg_pointer": "https://example.org/os.json"});
    let Value::Object(extra) = extra else { panic!("no object: {extra}") };
    for (key, value) in extra {
        document[key] = value;
    }
    document
}

fn mirror(extra: Value) -> Value {
    let mut mirror = json!({"url": "https://m.example/os.json"});
    let Value::Object(extra) = extra else { panic!("no object: {extra}") };
    for (key, value) in extra {
        mirror[key] = value;
    }
    with(json!({ "mirrors": [mirror] }))
}

/// Every key with everything in it that can be said, and no warning.
pub(crate) fn everything() -> Value {
    json!({
        "network_mode": "static", "host_ip": "192.0.2.7/24", "gateway": "192.0.2.1",
        "addresses": ["2001:db8::7/64", "198.51.100.7/25"], "gateways": ["2001:db8::1"],
        "routes": [{"to": "10.0.0.0/8", "via": "192.0.2.2"}, {"to": "203.0.113.0/24"}],
        "mtu": 9000, "vlan": 100, "dns": ["192.0.2.53", "2001:db8::53"],
        "dns_search": ["example.net", "example.org"], "ntp": ["192.0.2.1", "time.example"],
        "network_interfaces": [
            {"interface_name": "eth0", "mac_address": "52:54:00:12:34:56"},
            {"pci_path": "0000:00:03.0"}, {"interface_name": "eth2", "driver": "virtio_net"}],
        "bonding_mode": "802.3ad", "bond_name": "bond0",
        "bond_options": {"miimon": 50, "updelay": 100, "downdelay": 50, "lacp_rate": "slow",
            "xmit_hash_policy": "layer3+4", "min_links": 2},
        "ospkg_pointer": "https://user:CANARY@a.example/os.json,https://b.example/os.json",
        "mirrors": [
            {"url": "https://d.example/os.json", "priority": 20, "direct": true},
            {"url": "https://c.example/os.json", "priority": 10,
             "headers": {"X-Token": "CANARY", "Authorization": "Bearer CANARY"},
             "client_certificate": CERTIFICATE, "client_key": KEY},
            {"url": "https://e.example/os.json"}],
        "proxy": "https://user:CANARY@proxy.example:3129",
        "no_proxy": ["10.0.0.0/8", ".example.net", "192.0.2.9", "host.example"],
        "remote_log": {"url": "https://user:CANARY@log.example/in?token=CANARY", "level": "debug"},
        "description": "rack 7",
    })
}

/// Configurations that are read, without warning.
pub(crate) fn good() -> Vec<Value> {
    let fixed = |extra: Value| {
        let mut document = with(json!({"network_mode": "static", "host_ip": "192.0.2.7/24",
            "dns": ["192.0.2.53"]}));
        let Value::Object(extra) = extra else { panic!("no object: {extra}") };
        for (key, value) in extra {
            document[key] = value;
        }
        document
    };
    vec![
        with(json!({})),
        everything(),
        with(json!({"network_mode": "auto", "mtu": 1280, "vlan": 4094})),
        with(json!({"mtu": 68, "vlan": 1, "addresses": null, "routes": [], "mirrors": null})),
        fixed(json!({"gateways": []})),
        fixed(json!({"gateways": ["192.0.2.1"], "host_ip": null, "addresses": ["192.0.2.7/24"]})),
        fixed(json!({"gateways": ["fe80::1"], "addresses": ["2001:db8::7/64"]})),
        json!({"network_mode": "auto", "mirrors": [{"url": "http://192.0.2.1/os.json"}]}),
        with(json!({"network_interfaces": [{"driver": "mlx5_core", "mac_address": null}]})),
        with(json!({"ntp": ["2001:db8::1"], "dns_search": ["a"]})),
        with(json!({"remote_log": {"url": "syslog+tls://[2001:db8::9]:6514"}})),
        with(json!({"proxy": "http://192.0.2.3:3128", "no_proxy": ["*"]})),
        mirror(json!({"headers": {}, "priority": null, "direct": false})),
    ]
}

/// Configurations that are refused, with what the message says.
pub(crate) fn bad() -> Vec<(Value, &'static str)> {
    let fixed = |extra: Value| {
        let mut document = with(json!({
            "network_mode": "static", "host_ip": "192.0.2.7/24", "gateway": "192.0.2.1"}));
        let Value::Object(extra) = extra else { panic!("no object: {extra}") };
        for (key, value) in extra {
            document[key] = value;
        }
        document
    };
    vec![
        (with(json!({"network_mode": "Auto"})), "network_mode: \"Auto\", expected \"dhcp\""),
        (json!({"network_mode": "auto", "mirrors": []}), "ospkg_pointer: missing"),
        (
            fixed(json!({"addresses": "192.0.2.8/24"})),
            "addresses: \"192.0.2.8/24\", expected a list",
        ),
        (fixed(json!({"addresses": ["192.0.2.8"]})), "addresses[1]: \"192.0.2.8\""),
        (fixed(json!({"gateways": [null, "x"]})), "gateways[2]: \"x\""),
        (fixed(json!({"gateway": null})), "\"gateways\": [] if there is none"),
        (fixed(json!({"routes": [{"via": "192.0.2.2"}]})), "routes[1].to: missing"),
        (fixed(json!({"routes": ["10.0.0.0/8"]})), "routes[1]: \"10.0.0.0/8\", expected a list"),
        (with(json!({"mtu": 67})), "mtu: 67, expected"),
        (with(json!({"mtu": "1500"})), "mtu: \"1500\""),
        (with(json!({"mtu": 1500.5})), "mtu: 1500.5"),
        (with(json!({"vlan": 0})), "vlan: 0, expected the number of a VLAN, 1 to 4094"),
        (with(json!({"vlan": 4095})), "vlan: 4095"),
        (with(json!({"dns_search": ["-a"]})), "dns_search[1]: \"-a\""),
        (with(json!({"dns": vec!["192.0.2.53"; 17]})), "dns: 17 entries, expected a list"),
        (with(json!({"ntp": ["a b"]})), "ntp[1]: \"a\"…"),
        (
            with(json!({"network_interfaces": [{"pci_path": "03:00.0"}]})),
            "[1].pci_path: \"03:00.0\"",
        ),
        (with(json!({"network_interfaces": [{"driver": "a/b"}]})), "[1].driver: \"a/b\""),
        (with(json!({"network_interfaces": [{}]})), "mac_address: missing, expected a MAC address"),
        (with(json!({"bond_options": {"miimon": -1}})), "bond_options.miimon: -1"),
        (with(json!({"bond_options": {"lacp_rate": "FAST"}})), "bond_options.lacp_rate: \"FAST\""),
        (
            with(json!({"bond_options": {"xmit_hash_policy": 2}})),
            "bond_options.xmit_hash_policy: 2",
        ),
        (with(json!({"bond_options": []})), "bond_options: an array"),
        (with(json!({"mirrors": {"url": "https://a"}})), "mirrors: an object, expected a list"),
        (with(json!({"mirrors": [{}]})), "mirrors[1].url: missing"),
        (
            with(json!({"mirrors": [{"url": "ftp://a/x"}]})),
            "mirrors[1].url: a string of 9 characters (not an http",
        ),
        (
            mirror(json!({"url": "ftp://u:CANARY@a/x"})),
            "mirrors[1].url: a string of 18 characters (not an http",
        ),
        (mirror(json!({"url": "https:/a/x?CANARY"})), "mirrors[1].url: a string of 17 characters"),
        (mirror(json!({"priority": 70000})), "mirrors[1].priority: 70000"),
        (mirror(json!({"direct": "yes"})), "mirrors[1].direct: \"yes\", expected true or false"),
        (mirror(json!({"headers": ["X: CANARY"]})), "mirrors[1].headers: an array"),
        (mirror(json!({"headers": {"X": "CANARY\r\nY: 1"}})), "headers[\"X\"]: \"***\""),
        (mirror(json!({"headers": {"X": " CANARY"}})), "headers[\"X\"]: \"***\""),
        (mirror(json!({"headers": {"X": 7}})), "headers[\"X\"]: a number"),
        (
            mirror(json!({"headers": {"X Y": "CANARY"}})),
            "headers: a name of 3 characters that no header has",
        ),
        (
            mirror(json!({"client_certificate": "CANARY"})),
            "client_certificate: text that is not PEM",
        ),
        (mirror(json!({"client_key": "***"})), "mirrors[1].client_key: text that is not PEM"),
        (
            mirror(json!({"client_key": KEY.replace("PRIVATE", "ENCRYPTED PRIVATE")})),
            "client_key: an encrypted key",
        ),
        (
            with(json!({"proxy": "socks5://u:CANARY@a:1"})),
            "proxy: a string of 21 characters (not an http",
        ),
        (
            with(json!({"proxy": "http://a:1/x"})),
            "proxy: a string of 12 characters (it has more than a host and a port: a path",
        ),
        (with(json!({"proxy": 3128})), "proxy: a number"),
        (with(json!({"no_proxy": "a"})), "no_proxy: \"a\", expected a list"),
        (with(json!({"no_proxy": ["http://a"]})), "no_proxy[1]: \"http://a\""),
        (with(json!({"remote_log": "syslog+udp://a"})), "remote_log: a string of 14 characters"),
        (with(json!({"remote_log": {"level": "info"}})), "remote_log.url: missing"),
        (
            with(json!({"remote_log": {"url": "http://u:CANARY@a/"}})),
            "remote_log.url: a string of 18 characters",
        ),
        (
            with(json!({"remote_log": {"url": "syslog+udp://a", "level": "loud"}})),
            "level: \"loud\"",
        ),
    ]
}

fn bond_named(name: &str) -> Value {
    with(json!({"bonding_mode": "802.3ad", "bond_name": name,
        "network_interfaces": [{"interface_name": "eth0"}, {"interface_name": "eth1"}]}))
}

/// Configurations that are refused for reasons that a schema cannot express.
pub(crate) fn bad_in_sense() -> Vec<(Value, &'static str)> {
    let fixed = |key: &str, value: Value| {
        with(json!({"network_mode": "static", "host_ip": "192.0.2.7/24", "gateway": "192.0.2.1",
            key: value}))
    };
    vec![
        (
            fixed("routes", json!([{"to": "0.0.0.0/0", "via": "192.0.2.3"}])),
            "routes[1].to: 0.0.0.0/0, a second default route beside the gateway 192.0.2.1",
        ),
        (fixed("routes", json!([{"to": "192.0.2.7/0"}])), "a second default route beside"),
        (fixed("gateways", json!(["192.0.2.2"])), "a second gateway of the same family, 192.0.2.2"),
        (
            fixed("gateways", json!(["2001:db8::1"])),
            "gateways[1]: 2001:db8::1, but the machine has no IPv6 address",
        ),
        (
            fixed("gateway", json!("fe80::1")),
            "gateway: fe80::1, but the machine has no IPv6 address",
        ),
        (
            fixed("host_ip", json!("2001:db8::7/64")),
            "gateway: 192.0.2.1, but the machine has no IPv4 address",
        ),
        (
            fixed("routes", json!([{"to": "2001:db8:1::/48"}])),
            "routes[1].to: 2001:db8:1::, but the machine has no IPv6 address",
        ),
        (bond_named("a/b"), "bond_name: \"a/b\", expected the name of the bond"),
        (bond_named("a-very-long-name"), "bond_name: \"a-very-long-name\""),
        (bond_named("."), "bond_name: \".\""),
        (bond_named(".."), "bond_name: \"..\""),
        (bond_named("lo"), "bond_name: \"lo\""),
        (bond_named("eth0"), "bond_name: \"eth0\""),
        (fixed("gateways", json!(["192.0.2.256"])), "gateways[1]: \"192.0.2.256\""),
        (fixed("addresses", json!(["2001:db8::7/129"])), "addresses[1]: \"2001:db8::7/129\""),
        (
            fixed("routes", json!([{"to": "10.0.0.0/8", "via": "2001:db8::1"}])),
            "routes[1].via: 2001:db8::1, which is of another family than 10.0.0.0/8",
        ),
        (
            mirror(json!({"headers": {"Host": "CANARY"}})),
            "headers[\"Host\"]: a header that the client",
        ),
        (
            mirror(json!({"headers": {"rAnGe": "CANARY"}})),
            "headers[\"rAnGe\"]: a header that the client",
        ),
        (
            mirror(json!({"url": "https://u:CANARY@a/x", "headers": {"authorization": "CANARY"}})),
            "headers[\"authorization\"]: a header beside user name and password",
        ),
        (mirror(json!({"client_key": KEY.repeat(2)})), "client_key: more than one block of PEM"),
        (
            with(json!({"remote_log": {"url": "syslog+udp://a:0"}})),
            "remote_log.url: a string of 16 characters",
        ),
        (
            with(json!({"proxy": "http://a:99999"})),
            "proxy: a string of 14 characters (what stands behind the host's colon is no port",
        ),
        (with(json!({"no_proxy": ["a..b"]})), "no_proxy[1]: \"a..b\""),
    ]
}

/// Configurations that are read with this warning.
pub(crate) fn strange() -> Vec<(Value, &'static str)> {
    let fixed = |extra: Value| {
        let mut document = with(json!({
            "network_mode": "static", "host_ip": "192.0.2.7/24", "gateway": "192.0.2.1",
            "dns": ["192.0.2.53"]}));
        let Value::Object(extra) = extra else { panic!("no object: {extra}") };
        for (key, value) in extra {
            document[key] = value;
        }
        document
    };
    let bond = |mode: &str, options: Value| {
        with(json!({"bonding_mode": mode, "bond_name": "bond0", "bond_options": options,
            "network_interfaces": [{"interface_name": "eth0"}, {"interface_name": "eth1"}]}))
    };
    vec![
        (
            with(json!({"addresses": ["192.0.2.7/24"]})),
            "addresses: ignored, because network_mode is \"dhcp\"",
        ),
        (
            with(json!({"network_mode": "auto", "gateways": []})),
            "gateways: ignored, because network_mode is \"auto\"",
        ),
        (with(json!({"routes": [{"to": "10.0.0.0/8"}]})), "routes: ignored"),
        (fixed(json!({"addresses": ["192.0.2.7/25"]})), "addresses[1]: 192.0.2.7 is there already"),
        (fixed(json!({"addresses": ["127.0.0.1/8"]})), "addresses[1]: 127.0.0.1 cannot be"),
        (fixed(json!({"gateways": ["192.0.2.1"]})), "gateways[1]: 192.0.2.1 is there already"),
        (
            fixed(json!({"gateway": null, "gateways": ["198.51.100.1"]})),
            "gateways[1]: 198.51.100.1 is not in the network of 192.0.2.7/24: it is taken to be on the",
        ),
        (
            fixed(json!({"routes": [{"to": "10.0.0.1/8"}]})),
            "routes[1].to: 10.0.0.1/8 is taken for its network, 10.0.0.0/8",
        ),
        (
            fixed(json!({"routes": [{"to": "0.0.0.0/0", "via": "192.0.2.1"}]})),
            "routes[1].to: 192.0.2.1 is the gateway already",
        ),
        (
            fixed(json!({"gateway": null, "gateways": [],
                "routes": [{"to": "0.0.0.0/0", "via": "192.0.2.2"}]})),
            "a default route belongs in gateways",
        ),
        (
            fixed(json!({"routes": [{"to": "10.0.0.0/8", "via": "10.0.0.1"}]})),
            "routes[1].via: 10.0.0.1 is not in",
        ),
        (
            fixed(json!({"routes": [{"to": "10.0.0.0/8"}, {"to": "10.0.0.0/8"}]})),
            "routes[2].to: there is a route",
        ),
        (
            fixed(json!({"dns": null})),
            "ospkg_pointer: example.org is a name, but with static addresses",
        ),
        (
            fixed(json!({"dns": [], "proxy": "http://p:1", "ospkg_pointer": "http://192.0.2.1/x"})),
            "proxy: p is a name",
        ),
        (
            fixed(json!({"dns": [], "ospkg_pointer": "http://192.0.2.1/x",
                "remote_log": {"url": "syslog+udp://log.example"}})),
            "remote_log: log.example is a name",
        ),
        (
            fixed(
                json!({"dns": [], "ntp": ["time.example"], "ospkg_pointer": "http://[2001:db8::1]/x"}),
            ),
            "ntp: time.example is a name",
        ),
        (with(json!({"dns": ["127.0.0.53"]})), "dns[1]: 127.0.0.53 can be the address of no"),
        (with(json!({"dns": ["0.0.0.0"]})), "dns[1]: 0.0.0.0 can be"),
        (with(json!({"dns": ["192.0.2.1", "::"]})), "dns[2]: :: can be"),
        (with(json!({"dns": ["ff02::fb"]})), "dns[1]: ff02::fb can be"),
        (fixed(json!({"gateway": "192.0.2.7"})), "gateway: 192.0.2.7 is the machine's own address"),
        (
            fixed(json!({"host_ip": "192.0.2.0/24"})),
            "host_ip: 192.0.2.0 is the address of the network itself",
        ),
        (
            fixed(json!({"host_ip": "192.0.2.255/24"})),
            "host_ip: 192.0.2.255 is the broadcast address of 192.0.2.0/24",
        ),
        (
            with(json!({"ospkg_pointer": "https://a/os.ZIP?t=CANARY"})),
            "ospkg_pointer: https://a/os.ZIP?*** looks like the archive",
        ),
        (fixed(json!({"routes": [null]})), "routes[1]: null is skipped"),
        (with(json!({"mtu": 9217})), "mtu: 9217 is more than"),
        (with(json!({"network_mode": "auto", "mtu": 1279})), "mtu: IPv6 does not work"),
        (with(json!({"ntp": ["a", "A"]})), "ntp: a is there more than once"),
        (
            with(
                json!({"network_interfaces": [{"mac_address": "52:54:00:12:34:56", "driver": "e1000"}]}),
            ),
            "[1].driver: not looked at",
        ),
        (
            with(json!({"network_interfaces": [{"interface_name": "a-very-long-name"}]})),
            "can be the name of no interface",
        ),
        (
            with(json!({"network_interfaces": [{"driver": "e1000"}, {"driver": "e1000"}]})),
            "network_interfaces[2]: is there already; this one is ignored",
        ),
        (with(json!({"bond_options": {"miimon": 100}})), "bond_options: ignored"),
        (
            bond("active-backup", json!({"lacp_rate": "fast"})),
            "lacp_rate: has no meaning with active-backup",
        ),
        (bond("active-backup", json!({"min_links": 1})), "min_links: has no meaning"),
        (
            bond("balance-rr", json!({"xmit_hash_policy": "layer2"})),
            "xmit_hash_policy: has no meaning",
        ),
        (bond("802.3ad", json!({"primary": "eth0"})), "primary: has no meaning"),
        (bond("active-backup", json!({"primary": "eth7"})), "primary: \"eth7\" is not among"),
        (bond("802.3ad", json!({"min_links": 3})), "min_links: 3 is more than"),
        (bond("802.3ad", json!({"miimon": 0})), "miimon: 0 is never"),
        (
            bond("802.3ad", json!({"updelay": 150})),
            "updelay: 150 is not a multiple of miimon (100)",
        ),
        (
            mirror(json!({"url": "https://example.org/os.json"})),
            "ospkg_pointer: https://example.org/os.json is there more than once",
        ),
        (
            mirror(json!({"url": "http://a/x", "headers": {"X": "CANARY"}})),
            "mirrors[1].url: http://a/x sends",
        ),
        (mirror(json!({"client_key": KEY})), "mirrors[1].client_key: ignored"),
        (mirror(json!({"client_certificate": CERTIFICATE})), "client_certificate: ignored"),
        (
            mirror(
                json!({"url": "http://a/x", "client_certificate": CERTIFICATE, "client_key": KEY}),
            ),
            "client_certificate: http://a/x is never asked by TLS",
        ),
        (with(json!({"proxy": "http://u:CANARY@p:3128"})), "proxy: http://***@p:3128 is sent"),
        (with(json!({"no_proxy": ["a"]})), "no_proxy: has no meaning"),
    ]
}

/// Configurations that are read with a warning, but that the schema does not know.
pub(crate) fn unknown_keys() -> Vec<(Value, &'static str)> {
    vec![
        (with(json!({"vlann": 7})), "\"vlann\": unknown key, ignored; is it \"vlan\"?"),
        (with(json!({"netwrok_interfaces": 7})), "is it \"network_interfaces\"?"),
        (
            mirror(json!({"header": {"X": "CANARY"}})),
            "mirrors[1].\"header\": unknown key, ignored; is",
        ),
        (
            with(json!({"network_interfaces": [{"interface_name": "eth0", "VLAN": 7}]})),
            "network_interfaces[1].\"VLAN\": unknown key, ignored; it is known, but not at this place",
        ),
        (mirror(json!({"token": "CANARY"})), "mirrors[1].\"token\": unknown key"),
        (
            with(json!({"remote_log": {"url": "syslog+udp://a", "lvl": 1}})),
            "remote_log.\"lvl\": unknown key",
        ),
    ]
}
