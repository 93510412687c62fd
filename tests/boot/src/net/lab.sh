# What the networks of cases are made of: functions that `sh` in the lab VM reads before a case's own
# lines. eth0 leads to the host (10.0.2.2); eth1, eth2 and eth3 are the far ends of the cables to the
# machine under test. Servers keep what they have to say in /run/log.

# busybox would take its own.
ip() { /bin/ip "$@"; }
tc() { /sbin/tc "$@"; }

# Switches off what the case before has left.
sweep() {
    for stat in /proc/[0-9]*/stat; do
        read -r pid name state parent rest < $stat 2>/dev/null || continue
        # 1 is the agent, 2 the parent of the kernel's own.
        case "$pid $parent" in "1 "* | "2 "* | *" 2" | "$$ "* | *" $$") ;; *) kill -9 $pid 2>/dev/null || : ;; esac
    done
    ip -all netns delete
    for link in /sys/class/net/*; do
        link=${link##*/}
        case $link in lo | eth? | bonding_masters) ;; *) ip link delete $link 2>/dev/null || : ;; esac
    done
    nft flush ruleset
    for link in eth0 eth1 eth2 eth3; do
        tc qdisc delete dev $link root 2>/dev/null || :
        ip link set $link nomaster down mtu 1500
        ip address flush dev $link
    done
    ip address flush dev lo scope global
    rm -rf /etc/hosts /run/log /run/*.conf /run/*.pid
    mkdir -p /run/log /run/chrony
    chmod 750 /run/chrony
    set -- net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0 net.ipv4.tcp_mtu_probing=0 \
        net.netfilter.nf_conntrack_acct=0
    sysctl -q -w "$@"
}

# up LINK [ADDRESS...]: switches a link on, with these addresses, which can be used at once.
up() {
    link=$1
    shift
    ip link set $link up
    for address in "$@"; do
        case $address in *:*) flags=nodad ;; *) flags= ;; esac
        ip address add $address dev $link $flags
    done
}

# switch NAME PORT... [-- OPTION...]: joins links by a switch.
switch() {
    name=$1
    shift
    ports=
    while [ $# -gt 0 ] && [ "$1" != -- ]; do
        ports="$ports $1"
        shift
    done
    [ $# = 0 ] || shift
    ip link add $name type bridge "$@"
    ip link set $name up
    for port in $ports; do
        ip link set $port master $name
        ip link set $port up
    done
}

# vlan LINK TAG: makes LINK.TAG.
vlan() {
    ip link set $1 up
    ip link add link $1 name $1.$2 type vlan id $2
}

# bond NAME PORT... -- OPTION...: makes links one.
bond() {
    name=$1
    shift
    ports=
    while [ "$1" != -- ]; do
        ports="$ports $1"
        shift
    done
    shift
    ip link add $name type bond "$@"
    for port in $ports; do
        ip link set $port down
        ip link set $port master $name
    done
    ip link set $name up
}

# box NAME SWITCH ADDRESS...: one more machine at a switch: a namespace with a link called lan.
box() {
    box=$1
    switch=$2
    shift 2
    ip netns add $box
    ip link add $box type veth peer name lan netns $box
    ip link set $box master $switch
    ip link set $box up
    on $box up lo
    on $box up lan "$@"
}

# on BOX LINE: does something there.
on() {
    box=$1
    shift
    ip netns exec $box sh -ec ". /run/lab.sh; $*"
}

# dhcp LINK FIRST LAST [OPTION...]: gives leases there. dnsmasq names the link's own address as gateway
# unless told otherwise, and no name server (--dhcp-option=6,ADDRESS).
dhcp() {
    link=$1
    range=$2,$3
    shift 3
    dnsmasq --conf-file=/dev/null --user=root --pid-file=/run/dhcp-$link-$$.pid --port=0 --no-ping \
        --interface=$link --except-interface=lo --bind-interfaces --dhcp-authoritative \
        --dhcp-leasefile=/run/log/leases-$link-$$ --log-dhcp --log-facility=/run/log/dhcp \
        --dhcp-range=$range,1h "$@"
}

# dhcp6 LINK RANGE [OPTION...]: DHCPv6, and router advertisements with what the range's mode says.
dhcp6() {
    link=$1
    range=$2
    shift 2
    dnsmasq --conf-file=/dev/null --user=root --pid-file=/run/dhcp6-$link-$$.pid --port=0 \
        --interface=$link --except-interface=lo --bind-interfaces --dhcp-authoritative \
        --dhcp-leasefile=/run/log/leases6-$link-$$ --log-dhcp --log-facility=/run/log/dhcp6 \
        --enable-ra --dhcp-range=$range "$@"
}

# ra LINK LINE...: router advertisements by radvd, with these lines.
ra() {
    link=$1
    shift
    sysctl -q -w net.ipv6.conf.all.forwarding=1
    echo "interface $link { AdvSendAdvert on; MinRtrAdvInterval 3; MaxRtrAdvInterval 4; $* };" > /run/ra-$link.conf
    radvd --config=/run/ra-$link.conf --pidfile=/run/ra-$link.pid --logmethod=logfile --logfile=/run/log/ra
}

# dns ADDRESS ANSWER...: a name server that knows only these, such as /mirror.lab.example/192.0.2.1.
dns() {
    listen=$1
    shift
    answers=
    for answer in "$@"; do
        # Where it knows a name, it has no other addresses of it; /#/ is every name.
        case $answer in /#/*) local= ;; *) local=--local=/lab.example/ ;; esac
        answers="$answers $local --address=$answer"
    done
    dnsmasq --conf-file=/dev/null --user=root --pid-file=/run/dns-$$.pid --no-resolv --no-hosts \
        --listen-address=$listen --bind-interfaces --log-queries --log-facility=/run/log/dns $answers
}

# web [DIRECTIVE...]: serves /srv by http and https on every address.
web() {
    nginx_serves "listen 80; listen [::]:80; listen 443 ssl; listen [::]:443 ssl; $*"
}

# nginx_serves DIRECTIVE...: a server with what there is in /srv, and with these directives. $chain is
# its certificate, unless it is the usual one.
nginx_serves() {
    number=$((${number:-0} + 1))
    id=$$-$number
    cat > /run/nginx-$id.conf <<END
user root;
worker_processes 1;
pid /run/nginx-$id.pid;
error_log /run/log/web-errors;
events { worker_connections 64; }
http {
    log_format lab '\$remote_addr \$server_port \$request_method \$request_uri \$status \$body_bytes_sent "\$http_range"';
    log_format posted escape=none '\$request_body';
    log_format secrets '\$request_uri \$http_authorization \$http_x_lab_token';
    access_log /run/log/web lab;
    sendfile on;
    server {
        root /srv;
        ssl_certificate ${chain:-/etc/lab/tls.pem};
        ssl_certificate_key /etc/lab/tls.key;
        $*
    }
}
END
    nginx -c /run/nginx-$id.conf
}

# gateway: the lab VM forwards, and whatever goes out to the host's network has its address.
gateway() {
    up eth0 10.0.2.15/24
    sysctl -q -w net.ipv4.ip_forward=1
    nft add table ip nat
    nft 'add chain ip nat post { type nat hook postrouting priority 100 ; }'
    nft add rule ip nat post oifname eth0 masquerade
}

# proxy ADDRESS [LINE...]: an HTTP proxy on port 3128.
proxy() {
    listen=$1
    shift
    printf '%s\n' "Port 3128" "Listen $listen" "Timeout 60" "LogFile \"/run/log/proxy\"" "LogLevel Connect" \
        "MaxClients 20" "ConnectPort 443" "$@" > /run/proxy.conf
    tinyproxy -c /run/proxy.conf
}

# ntp: tells the lab's time.
ntp() {
    printf '%s\n' "local stratum 3" "allow all" "cmdport 0" "pidfile /run/chrony.pid" > /run/chrony.conf
    chronyd -x -u root -f /run/chrony.conf -l /run/log/ntp
}

# later LINK SECONDS LINE: does something so long after the machine under test was first heard there.
later() {
    link=$1
    seconds=$2
    shift 2
    ( tcpdump -Z root -i $link -n -c 1 -Q in > /run/log/first-$link; sleep $seconds; eval "$*" ) \
        > /run/log/later-$link 2>&1 < /dev/null &
}

# good [OPTION...]: a network as it should be on the first cable: DHCP, and a mirror at 192.0.2.1.
good() {
    up eth1 192.0.2.1/24
    dhcp eth1 192.0.2.100 192.0.2.150 "$@"
    web
}

# wire LINK FILTER: writes down what of this comes in there, as the wire has it.
wire() {
    tcpdump -Z root -l -n -i $1 -Q in "$2" > /run/log/wire-$1 2>/dev/null < /dev/null &
    # It listens when it has said so; lines of `ss` would not tell.
    sleep 1
}

# named LINK NETWORK: a network as it should be, with a name for its mirror.
named() {
    up $1 $2.1/24
    dhcp $1 $2.100 $2.150 --dhcp-option=6,$2.1
    dns $2.1 /mirror.lab.example/$2.1
    nginx_serves "listen $2.1:80; listen $2.1:443 ssl;"
}

# portal LINK NETWORK: whatever name is asked for, and whatever file, the answer is a page.
portal() {
    up $1 $2.1/24
    dhcp $1 $2.100 $2.150 --dhcp-option=6,$2.1
    dns $2.1 /#/$2.1
    nginx_serves "listen $2.1:80; location / { default_type text/html; return 200 '<html>please log in</html>'; }"
}

# black_hole: a network whose router drops packets of more than 1400 bytes to and from 203.0.113.0/24,
# where a box called far is, and tells nobody.
black_hole() {
    up eth1 192.0.2.1/24
    ip netns add far
    ip link add far type veth peer name lan netns far
    up far 203.0.113.254/24
    on far up lo
    on far up lan 203.0.113.1/24
    on far ip route add default via 203.0.113.254
    ip link set eth1 mtu 1400
    ip link set far mtu 1400
    sysctl -q -w net.ipv4.ip_forward=1
    nft add table ip mute
    nft 'add chain ip mute out { type filter hook output priority 0 ; }'
    nft add rule ip mute out icmp type destination-unreachable drop
    dhcp eth1 192.0.2.100 192.0.2.150
}

# blocks LINK SECONDS: swallows everything that comes or goes there until so long after the machine under
# test was first heard, as the port of a switch does that looks for loops first.
blocks() {
    nft add table netdev blocked
    nft "add chain netdev blocked in { type filter hook ingress device $1 priority 0 ; }"
    nft add rule netdev blocked in drop
    tc qdisc add dev $1 root netem loss 100%
    later $1 $2 "nft delete table netdev blocked; tc qdisc delete dev $1 root"
}

# trunk LINK TAG: a switch that knows VLANs, with this one tagged at the link: it is lan.TAG. What comes
# untagged is of VLAN 1, which is lan itself.
trunk() {
    switch lan $1 -- vlan_filtering 1
    bridge vlan add dev $1 vid $2
    bridge vlan add dev lan vid $2 self
    vlan lan $2
}

# watch_bond NAME PORTS: writes down its state once it has a partner and so many ports.
watch_bond() {
    (
        while sleep 0.5; do
            state=$(cat /proc/net/bonding/$1)
            case $state in *"Partner Mac Address: 00:00:00:00:00:00"*) continue ;; esac
            case $state in *"Number of ports: $2"*) echo "$state" > /run/log/bond; break ;; esac
        done
    ) > /dev/null 2>&1 < /dev/null &
}

# syslog: takes what comes by UDP.
syslog() {
    nc.openbsd -l -u -k 514 > /run/log/syslog 2>&1 < /dev/null &
}

# syslog_tls: takes what comes by TLS, as a server of the distribution reads it.
syslog_tls() {
    cat > /run/rsyslog.conf <<END
global(workDirectory="/run" defaultNetstreamDriverCAFile="/etc/lab/tls.pem"
    defaultNetstreamDriverCertFile="/etc/lab/tls.pem" defaultNetstreamDriverKeyFile="/etc/lab/tls.key")
module(load="imtcp" streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="anon")
input(type="imtcp" port="6514")
template(name="lab" type="string" string="%syslogfacility-text%.%syslogseverity-text% %hostname% %app-name% %msg%\n")
action(type="omfile" file="/run/log/syslog-tls" template="lab")
END
    rsyslogd -f /run/rsyslog.conf -i /run/rsyslog.pid
}

# locked_web [DIRECTIVE...]: the same as `web`, but it wants the name and the password of the canary, and
# writes down whatever secrets it was told.
locked_web() {
    echo 'canaryuser:{PLAIN}canarypass' > /run/passwords.conf
    web 'auth_basic lab; auth_basic_user_file /run/passwords.conf; access_log /run/log/web lab;' \
        'access_log /run/log/secrets secrets;' "$@"
}

# collector: takes logs that are posted to /log of `locked_web`, and other files from there.
collector() {
    # What is not passed on is not read.
    nginx_serves 'listen 127.0.0.1:8081; location / { return 204; }'
    locked_web 'location = /log { client_body_in_single_buffer on; client_body_buffer_size 1m;
        access_log /run/log/posted posted; access_log /run/log/secrets secrets; proxy_pass http://127.0.0.1:8081/; }'
}

# behind_proxy: a network without gateway and names. The mirror's name is known to the lab VM alone.
behind_proxy() {
    up eth1 192.0.2.1/24
    up lo 203.0.113.1/32
    echo 203.0.113.1 mirror.lab.example > /etc/hosts
    dhcp eth1 192.0.2.100 192.0.2.150 --dhcp-option=3 --dhcp-option=6
    nginx_serves 'listen 203.0.113.1:80; listen 203.0.113.1:443 ssl;'
}
