//! Links, addresses, routes and DHCP over netlink, every NIC side by side.
