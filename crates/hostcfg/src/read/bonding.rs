//! `bonding_mode`, `bond_name` and `bond_options`.

use report::strict_json::Object;
use serde_json::Value;

use super::interfaces::is_interface_name;
use crate::bond::BondMode;
use crate::bond::BondOptions;
use crate::bond::Bonding;
use crate::bond::LacpRate;
use crate::bond::XmitHashPolicy;
use crate::error::HostConfigError;
use crate::fields::invalid;
use crate::fields::nested;
use crate::fields::optional_number;
use crate::fields::optional_parsed;
use crate::fields::optional_string;
use crate::network::InterfaceSelector;

const EXPECTED_MODE: &str = "balance-rr, active-backup, balance-xor, broadcast, 802.3ad (LACP), \
                             balance-tlb or balance-alb; or no such key";
const EXPECTED_NAME: &str = "the name of the bond such as \"bond0\": at most 15 bytes without blanks, / and \
                             :, and no interface's own";
const EXPECTED_OPTIONS: &str = "null or an object such as {\"miimon\": 100}";

/// How often links are looked at if the configuration does not say, in milliseconds.
const USUAL_MIIMON: u32 = 100;

/// The bond, if there is to be one.
pub(crate) fn bonding(
    object: &mut Object,
    interfaces: &[InterfaceSelector],
    warnings: &mut Vec<String>,
) -> Result<Option<Bonding>, HostConfigError> {
    let mode = optional_parsed(object, "bonding_mode", EXPECTED_MODE, |text| match text {
        "" => Some(None),
        name => BondMode::from_name(name).map(Some),
    })?
    .flatten();
    let name = optional_string(object, "bond_name", "a string")?;
    let options = match object.take_set("bond_options") {
        Some(value) => {
            Some(nested("bond_options", value, EXPECTED_OPTIONS, warnings, |object, _| {
                read_options(object)
            })?)
        }
        None => None,
    };
    let Some(mode) = mode else {
        let is_named = name.is_some_and(|name| !name.is_empty());
        for (field, is_set) in [("bond_name", is_named), ("bond_options", options.is_some())] {
            if is_set {
                warnings.push(format!("{field}: ignored, because there is no bonding_mode"));
            }
        }
        return Ok(None);
    };
    let name = match name {
        Some(name) if !name.is_empty() => name,
        other => {
            let found = other.map(Value::String);
            return Err(invalid("bond_name", found.as_ref(), EXPECTED_NAME));
        }
    };
    if interfaces.is_empty() {
        let expected = "the members of the bond, because there is a bonding_mode";
        return Err(invalid("network_interfaces", None, expected));
    }
    let of_member = |member: &InterfaceSelector| member.name.as_deref() == Some(name.as_str());
    if !is_interface_name(&name) || name == "lo" || interfaces.iter().any(of_member) {
        let found = Value::String(name);
        return Err(invalid("bond_name", Some(&found), EXPECTED_NAME));
    }
    let options = options.unwrap_or_default();
    warn_of_options(mode, &options, interfaces, warnings);
    Ok(Some(Bonding { mode, name, options }))
}

fn read_options(object: &mut Object) -> Result<BondOptions, HostConfigError> {
    const EXPECTED_TIME: &str = "a number of milliseconds, 0 to 60000";
    const EXPECTED_LINKS: &str = "a number of links, 0 to 64";
    const EXPECTED_RATE: &str = "\"slow\" or \"fast\"";
    const EXPECTED_POLICY: &str = "layer2, layer2+3, layer3+4, encap2+3, encap3+4 or vlan+srcmac";

    let mut time = |field| optional_number(object, field, EXPECTED_TIME, 0..=60_000_u32);
    let (miimon, updelay, downdelay) = (time("miimon")?, time("updelay")?, time("downdelay")?);
    Ok(BondOptions {
        miimon,
        updelay,
        downdelay,
        lacp_rate: optional_parsed(object, "lacp_rate", EXPECTED_RATE, LacpRate::from_name)?,
        xmit_hash_policy: optional_parsed(
            object,
            "xmit_hash_policy",
            EXPECTED_POLICY,
            XmitHashPolicy::from_name,
        )?,
        min_links: optional_number(object, "min_links", EXPECTED_LINKS, 0..=64)?,
        primary: optional_string(object, "primary", "the name of a member such as \"eth0\"")?
            .filter(|name| !name.is_empty()),
    })
}

fn warn_of_options(
    mode: BondMode,
    options: &BondOptions,
    interfaces: &[InterfaceSelector],
    warnings: &mut Vec<String>,
) {
    for (field, is_set, has_meaning) in [
        ("lacp_rate", options.lacp_rate.is_some(), mode.speaks_lacp()),
        ("min_links", options.min_links.is_some(), mode.speaks_lacp()),
        ("xmit_hash_policy", options.xmit_hash_policy.is_some(), mode.hashes()),
        ("primary", options.primary.is_some(), mode.has_primary()),
    ] {
        if is_set && !has_meaning {
            warnings.push(format!("bond_options.{field}: has no meaning with {mode}"));
        }
    }
    if options.miimon == Some(0) {
        warnings.push(
            "bond_options.miimon: 0 is never: a member that loses its link stays in use".to_owned(),
        );
    }
    let miimon = options.miimon.unwrap_or(USUAL_MIIMON);
    for (field, delay) in [("updelay", options.updelay), ("downdelay", options.downdelay)] {
        if let Some(delay) = delay.filter(|delay| delay.checked_rem(miimon).unwrap_or(*delay) != 0)
        {
            warnings.push(format!(
                "bond_options.{field}: {delay} is not a multiple of miimon ({miimon}): the kernel \
                 rounds it down"
            ));
        }
    }
    // An entry by driver may be about several interfaces.
    let countable = interfaces.iter().all(|interface| {
        interface.mac.is_some() || interface.name.is_some() || interface.pci_path.is_some()
    });
    if let Some(links) = options.min_links
        && countable
        && usize::try_from(links).is_ok_and(|links| links > interfaces.len())
    {
        warnings.push(format!(
            "bond_options.min_links: {links} is more than the bond has members ({}): it never has \
             a carrier",
            interfaces.len()
        ));
    }
    if let Some(primary) = &options.primary
        && interfaces.iter().all(|interface| interface.name.as_ref().is_some_and(|n| n != primary))
    {
        warnings.push(format!("bond_options.primary: {primary:?} is not among network_interfaces"));
    }
}
