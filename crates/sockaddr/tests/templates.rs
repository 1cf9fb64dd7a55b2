//! What templates give, and what is said of those that cannot be: rows are answers of consul-template 0.42 in a network
//! namespace with these addresses.

use sockaddr::{Address, Machine, expand};

fn machine() -> Machine {
    let up = "up|broadcast|multicast";
    let running = "up|broadcast|multicast|running";
    let addresses = [
        ("127.0.0.1", 8, 1, "lo", "up|loopback|running"),
        ("::1", 128, 1, "lo", "up|loopback|running"),
        ("10.1.2.3", 24, 3, "d0", up),
        ("fd10::5", 64, 3, "d0", up),
        ("fe80::c76:91ff:fed3:5305", 64, 4, "e1", running),
        ("192.168.7.9", 16, 5, "eth0", running),
        ("2001:db8::7", 64, 5, "eth0", running),
        ("8.8.4.4", 30, 7, "pub", up),
        ("2a00:1450::9", 48, 7, "pub", up),
    ];
    let addresses = addresses.map(|(ip, bits, index, name, flags)| Address {
        ip: ip.parse().expect("the table has addresses"),
        bits,
        index,
        name: name.into(),
        mtu: if index == 1 { 65536 } else { 1500 },
        flags: flags.into(),
    });
    Machine { addresses: addresses.into(), default: Some("eth0".into()) }
}

fn filled(template: &str, machine: &Machine) -> Result<String, String> {
    expand(&format!("{{{{ {template} }}}}"), machine).map_err(|error| error.to_string())
}

#[test]
fn templates_give_what_go_sockaddr_gives() {
    let machine = machine();
    for (template, text) in [
        (
            r#"GetAllInterfaces | join "address" " ""#,
            "127.0.0.1 ::1 10.1.2.3 fd10::5 fe80::c76:91ff:fed3:5305 192.168.7.9 2001:db8::7 8.8.4.4 2a00:1450::9",
        ),
        (r#"GetPrivateInterfaces | join "address" " ""#, "192.168.7.9 10.1.2.3 fd10::5"),
        (r#"GetPublicInterfaces | join "address" " ""#, "8.8.4.4 2a00:1450::9"),
        (r#"GetDefaultInterfaces | join "address" " ""#, "192.168.7.9 2001:db8::7"),
        ("GetPrivateIP", "192.168.7.9"),
        ("GetPrivateIPs", "192.168.7.9 10.1.2.3 fd10::5"),
        ("GetPublicIPs", "8.8.4.4 2a00:1450::9"),
        (
            r#"GetAllInterfaces | sort "private" | join "address" " ""#,
            "::1 fd10::5 fe80::c76:91ff:fed3:5305 2001:db8::7 127.0.0.1 10.1.2.3 192.168.7.9 8.8.4.4 2a00:1450::9",
        ),
        (
            r#"GetAllInterfaces | sort "-private" | join "address" " ""#,
            "127.0.0.1 ::1 10.1.2.3 fd10::5 fe80::c76:91ff:fed3:5305 192.168.7.9 2001:db8::7 8.8.4.4 2a00:1450::9",
        ),
        (
            r#"GetAllInterfaces | sort "default" | join "address" " ""#,
            "192.168.7.9 2001:db8::7 127.0.0.1 ::1 10.1.2.3 fd10::5 fe80::c76:91ff:fed3:5305 8.8.4.4 2a00:1450::9",
        ),
        (
            r#"GetAllInterfaces | sort "-default" | join "address" " ""#,
            "127.0.0.1 ::1 10.1.2.3 fd10::5 fe80::c76:91ff:fed3:5305 8.8.4.4 2a00:1450::9 192.168.7.9 2001:db8::7",
        ),
        (
            r#"GetAllInterfaces | sort "size" | join "address" " ""#,
            "127.0.0.1 ::1 10.1.2.3 fd10::5 fe80::c76:91ff:fed3:5305 192.168.7.9 2001:db8::7 8.8.4.4 2a00:1450::9",
        ),
        (
            r#"GetAllInterfaces | sort "-size" | join "address" " ""#,
            "127.0.0.1 ::1 10.1.2.3 fd10::5 fe80::c76:91ff:fed3:5305 192.168.7.9 2001:db8::7 8.8.4.4 2a00:1450::9",
        ),
        (
            r#"GetAllInterfaces | sort "type" | join "address" " ""#,
            "127.0.0.1 10.1.2.3 192.168.7.9 8.8.4.4 ::1 fd10::5 fe80::c76:91ff:fed3:5305 2001:db8::7 2a00:1450::9",
        ),
        (
            r#"GetAllInterfaces | sort "-type" | join "address" " ""#,
            "::1 fd10::5 fe80::c76:91ff:fed3:5305 2001:db8::7 2a00:1450::9 127.0.0.1 10.1.2.3 192.168.7.9 8.8.4.4",
        ),
        (
            r#"GetAllInterfaces | sort "address" | join "address" " ""#,
            "127.0.0.1 ::1 10.1.2.3 fd10::5 fe80::c76:91ff:fed3:5305 192.168.7.9 2001:db8::7 8.8.4.4 2a00:1450::9",
        ),
        (
            r#"GetAllInterfaces | sort "-address" | join "address" " ""#,
            "127.0.0.1 ::1 10.1.2.3 fe80::c76:91ff:fed3:5305 fd10::5 192.168.7.9 2001:db8::7 8.8.4.4 2a00:1450::9",
        ),
        (
            r#"GetAllInterfaces | sort "type,size" | join "address" " ""#,
            "127.0.0.1 192.168.7.9 10.1.2.3 8.8.4.4 2a00:1450::9 fd10::5 fe80::c76:91ff:fed3:5305 2001:db8::7 ::1",
        ),
        (
            r#"GetAllInterfaces | sort "-type,size" | join "address" " ""#,
            "2a00:1450::9 fd10::5 fe80::c76:91ff:fed3:5305 2001:db8::7 ::1 127.0.0.1 192.168.7.9 10.1.2.3 8.8.4.4",
        ),
        (
            r#"GetAllInterfaces | sort "type, size" | join "address" " ""#,
            "127.0.0.1 192.168.7.9 10.1.2.3 8.8.4.4 2a00:1450::9 fd10::5 fe80::c76:91ff:fed3:5305 2001:db8::7 ::1",
        ),
        (
            r#"GetAllInterfaces | sort "NAME" | join "address" " ""#,
            "10.1.2.3 fd10::5 fe80::c76:91ff:fed3:5305 192.168.7.9 2001:db8::7 127.0.0.1 ::1 8.8.4.4 2a00:1450::9",
        ),
        (r#"GetAllInterfaces | include "size" "24" | join "address" " ""#, "10.1.2.3"),
        (
            r#"GetAllInterfaces | exclude "size" "24" | join "address" " ""#,
            "127.0.0.1 ::1 fd10::5 fe80::c76:91ff:fed3:5305 192.168.7.9 2001:db8::7 8.8.4.4 2a00:1450::9",
        ),
        (
            r#"GetAllInterfaces | include "port" "0" | join "address" " ""#,
            "127.0.0.1 ::1 10.1.2.3 fd10::5 fe80::c76:91ff:fed3:5305 192.168.7.9 2001:db8::7 8.8.4.4 2a00:1450::9",
        ),
        (r#"GetAllInterfaces | exclude "port" "0" | join "address" " ""#, ""),
        (
            r#"GetAllInterfaces | include "rfc" "1918|4193" | join "address" " ""#,
            "10.1.2.3 192.168.7.9 fd10::5",
        ),
        (
            r#"GetAllInterfaces | include "type" "ipv4|ipv6" | join "address" " ""#,
            "127.0.0.1 ::1 10.1.2.3 fd10::5 fe80::c76:91ff:fed3:5305 192.168.7.9 2001:db8::7 8.8.4.4 2a00:1450::9",
        ),
        (
            r#"GetAllInterfaces | exclude "flags" "up|loopback" | join "address" " ""#,
            "10.1.2.3 fd10::5 fe80::c76:91ff:fed3:5305 192.168.7.9 2001:db8::7 8.8.4.4 2a00:1450::9",
        ),
        (
            r#"GetAllInterfaces | exclude "name" "eth0" | join "address" " ""#,
            "127.0.0.1 ::1 10.1.2.3 fd10::5 fe80::c76:91ff:fed3:5305 8.8.4.4 2a00:1450::9",
        ),
        (r#"GetAllInterfaces | include "network" "8.8.4.4" | join "address" " ""#, ""),
        (
            r#"GetAllInterfaces | include "flags" "down" | join "address" " ""#,
            "127.0.0.1 ::1 10.1.2.3 fd10::5 fe80::c76:91ff:fed3:5305 192.168.7.9 2001:db8::7 8.8.4.4 2a00:1450::9",
        ),
        (
            r#"GetAllInterfaces | include "flags" "multicast" | join "address" " ""#,
            "10.1.2.3 fd10::5 fe80::c76:91ff:fed3:5305 192.168.7.9 2001:db8::7 8.8.4.4 2a00:1450::9",
        ),
        (r#"GetAllInterfaces | include "flags" "point-to-point" | join "address" " ""#, ""),
        (
            r#"GetAllInterfaces | include "flags" "link-local unicast" | join "address" " ""#,
            "fe80::c76:91ff:fed3:5305",
        ),
        (r#"GetAllInterfaces | include "flags" "link-local multicast" | join "address" " ""#, ""),
        (r#"GetAllInterfaces | include "flags" "interface-local multicast" | join "address" " ""#, ""),
        (r#"GetAllInterfaces | include "flags" "unspecified" | join "address" " ""#, ""),
        (
            r#"GetAllInterfaces | include "flags" "broadcast" | join "address" " ""#,
            "10.1.2.3 fd10::5 fe80::c76:91ff:fed3:5305 192.168.7.9 2001:db8::7 8.8.4.4 2a00:1450::9",
        ),
        (r#"GetAllInterfaces | attr "NAME""#, "lo"),
        (
            r#"GetAllInterfaces | join "Address" " ""#,
            "127.0.0.1 ::1 10.1.2.3 fd10::5 fe80::c76:91ff:fed3:5305 192.168.7.9 2001:db8::7 8.8.4.4 2a00:1450::9",
        ),
        (r#"GetAllInterfaces | offset 2 | limit 2 | join "address" " ""#, "10.1.2.3 fd10::5"),
        (r#"GetAllInterfaces | offset 8 | join "address" " ""#, "2a00:1450::9"),
        (
            r#"GetAllInterfaces | math "address" "+1" | join "string" " ""#,
            "127.0.0.2/8 ::2 10.1.2.4/24 fd10::6/64 fe80::c76:91ff:fed3:5306/64 192.168.7.10/16 2001:db8::8/64 8.8.4.5/30 2a00:1450::a/48",
        ),
        (
            r#"GetAllInterfaces | math "network" "+5" | join "string" " ""#,
            "127.0.0.5/8 ::1 10.1.2.5/24 fd10::5/64 fe80::5/64 192.168.0.5/16 2001:db8::5/64 8.8.4.5/30 2a00:1450::5/48",
        ),
        (
            r#"GetAllInterfaces | math "network" "-2" | join "string" " ""#,
            "127.255.255.254/8 ::1 10.1.2.254/24 fd10::ffff:ffff:ffff:fffe/64 fe80::ffff:ffff:ffff:fffe/64 192.168.255.254/16 2001:db8::ffff:ffff:ffff:fffe/64 8.8.4.6/30 2a00:1450:0:ffff:ffff:ffff:ffff:fffe/48",
        ),
        (
            r#"GetAllInterfaces | math "network" "+300" | join "string" " ""#,
            "127.0.1.44/8 ::1 10.1.2.44/24 fd10::12c/64 fe80::12c/64 192.168.1.44/16 2001:db8::12c/64 8.8.4.4/30 2a00:1450::12c/48",
        ),
        (
            r#"GetAllInterfaces | math "mask" "0" | join "string" " ""#,
            "0.0.0.0/0 ::/0 0.0.0.0/0 ::/0 ::/0 0.0.0.0/0 ::/0 0.0.0.0/0 ::/0",
        ),
        (
            r#"GetAllInterfaces | math "mask" "12" | join "string" " ""#,
            "127.0.0.0/8 ::/12 10.0.0.0/12 fd10::/12 fe80::/12 192.160.0.0/12 2000::/12 8.0.0.0/12 2a00::/12",
        ),
        (
            r#"GetAllInterfaces | math "ADDRESS" "+1" | join "string" " ""#,
            "127.0.0.2/8 ::2 10.1.2.4/24 fd10::6/64 fe80::c76:91ff:fed3:5306/64 192.168.7.10/16 2001:db8::8/64 8.8.4.5/30 2a00:1450::a/48",
        ),
        ("range GetAllInterfaces }}{{ .Name }},{{ end", "lo,lo,d0,d0,e1,eth0,eth0,pub,pub,"),
        ("range GetAllInterfaces }}{{ .MTU }},{{ end", "65536,65536,1500,1500,1500,1500,1500,1500,1500,"),
        (
            "range GetAllInterfaces }}{{ .SockAddr }},{{ end",
            "127.0.0.1/8,::1,10.1.2.3/24,fd10::5/64,fe80::c76:91ff:fed3:5305/64,192.168.7.9/16,2001:db8::7/64,8.8.4.4/30,2a00:1450::9/48,",
        ),
        (
            "range GetAllInterfaces }}{{ .Flags }},{{ end",
            "up|loopback|running,up|loopback|running,up|broadcast|multicast,up|broadcast|multicast,up|broadcast|multicast|running,up|broadcast|multicast|running,up|broadcast|multicast|running,up|broadcast|multicast,up|broadcast|multicast,",
        ),
        ("if GetPrivateIP }}yes{{ else }}no{{ end", "yes"),
        (
            r#"GetAllInterfaces | include "name" "lo" | include "type" "IPv4" | attr "first_usable""#,
            "127.0.0.1",
        ),
        (r#"or (GetInterfaceIP "nosuch") (GetInterfaceIP "eth0")"#, "192.168.7.9"),
    ] {
        assert_eq!(filled(template, &machine), Ok(text.to_owned()), "{template}");
    }
}

#[test]
fn what_is_refused_and_how() {
    let machine = machine();
    for (template, why) in [
        (
            r#"GetAllInterfaces | sort "-nosuch" | join "address" " ""#,
            r#"error calling sort: unknown sort type: "-nosuch""#,
        ),
        (
            r#"GetAllInterfaces | sort "" | join "address" " ""#,
            r#"error calling sort: unknown sort type: """#,
        ),
        (
            r#"GetAllInterfaces | include "size" "/24" | join "address" " ""#,
            r#"error calling include: invalid exclude size argument ("/24"): strconv.ParseUint: parsing "/24": invalid syntax"#,
        ),
        (
            r#"GetAllInterfaces | include "size" "64|16" | join "address" " ""#,
            r#"error calling include: invalid exclude size argument ("64|16"): strconv.ParseUint: parsing "64|16": invalid syntax"#,
        ),
        (
            r#"GetAllInterfaces | include "size" "abc" | join "address" " ""#,
            r#"error calling include: invalid exclude size argument ("abc"): strconv.ParseUint: parsing "abc": invalid syntax"#,
        ),
        (
            r#"GetAllInterfaces | include "size" "256" | join "address" " ""#,
            "error calling include: mask size out of bounds for IPv4 address: 256",
        ),
        (
            r#"GetAllInterfaces | include "port" "(" | join "address" " ""#,
            r#"error calling include: Unable to compile port regexp "(": error parsing regexp: missing closing ): `(`"#,
        ),
        (
            r#"GetAllInterfaces | exclude "type" "nosuch" | join "address" " ""#,
            r#"error calling exclude: unsupported type "nosuch" "nosuch""#,
        ),
        (
            r#"GetAllInterfaces | exclude "flags" "nosuch" | join "address" " ""#,
            r#"error calling exclude: Unknown interface flag: "nosuch""#,
        ),
        (
            r#"GetAllInterfaces | include "flags" "UP | LOOPBACK" | join "address" " ""#,
            r#"error calling include: Unknown interface flag: "up ""#,
        ),
        (
            r#"GetAllInterfaces | exclude "rfc" "abc" | join "address" " ""#,
            r#"error calling exclude: unable to lookup RFC number "abc": unable to parse RFC number "abc": strconv.ParseUint: parsing "abc": invalid syntax"#,
        ),
        (
            r#"GetAllInterfaces | exclude "rfc" "9999" | join "address" " ""#,
            r#"error calling exclude: unable to lookup RFC number "9999": unsupported RFC 9999"#,
        ),
        (
            r#"GetAllInterfaces | exclude "network" "bad" | join "address" " ""#,
            r#"error calling exclude: unable to create an IP address from "bad": invalid IPAddr bad"#,
        ),
        (
            r#"GetAllInterfaces | exclude "address" "(" | join "address" " ""#,
            r#"error calling exclude: Unable to compile address regexp "(": error parsing regexp: missing closing ): `(`"#,
        ),
        (
            r#"GetAllInterfaces | exclude "name" "(" | join "address" " ""#,
            r#"error calling exclude: Unable to compile name regexp "(": error parsing regexp: missing closing ): `(`"#,
        ),
        (
            r#"GetAllInterfaces | include "flags" "running" | join "address" " ""#,
            r#"error calling include: Unknown interface flag: "running""#,
        ),
        (
            r#"GetAllInterfaces | limit 1 | attr "mtu""#,
            r#"error calling attr: unsupported attribute name "mtu""#,
        ),
        (
            r#"GetAllInterfaces | unique "type" | join "address" " ""#,
            r#"error calling unique: unsupported unique constraint "type""#,
        ),
        (
            r#"GetAllInterfaces | unique "port" | join "address" " ""#,
            r#"error calling unique: unsupported unique constraint "port""#,
        ),
        (
            r#"GetAllInterfaces | math "address" "+x" | join "string" " ""#,
            r#"error calling math: unable to perform an IPMath operation on 127.0.0.1/8 {1 65536 lo  up|loopback|running}: unable to convert "+x" to int for operation "address": strconv.ParseInt: parsing "+x": invalid syntax"#,
        ),
        (
            r#"GetAllInterfaces | math "address" "-x" | join "string" " ""#,
            r#"error calling math: unable to perform an IPMath operation on 127.0.0.1/8 {1 65536 lo  up|loopback|running}: unable to convert "-x" to int for operation "address": strconv.ParseInt: parsing "-x": invalid syntax"#,
        ),
        (
            r#"GetAllInterfaces | math "network" "5" | join "string" " ""#,
            r#"error calling math: unable to perform an IPMath operation on 127.0.0.1/8 {1 65536 lo  up|loopback|running}: sign (+/-) is required for operation "network""#,
        ),
        (
            r#"GetAllInterfaces | math "mask" "33" | join "string" " ""#,
            r#"error calling math: unable to perform an IPMath operation on 127.0.0.1/8 {1 65536 lo  up|loopback|running}: parameter for operation "mask" on ipv4 addresses must be between 0 and 32"#,
        ),
        (
            r#"GetAllInterfaces | math "mask" "129" | join "string" " ""#,
            r#"error calling math: unable to perform an IPMath operation on 127.0.0.1/8 {1 65536 lo  up|loopback|running}: parameter for operation "mask" on ipv4 addresses must be between 0 and 32"#,
        ),
        (
            r#"GetAllInterfaces | math "mask" "-1" | join "string" " ""#,
            r#"error calling math: unable to perform an IPMath operation on 127.0.0.1/8 {1 65536 lo  up|loopback|running}: unable to convert "-1" to int for operation "mask": strconv.ParseUint: parsing "-1": invalid syntax"#,
        ),
        (
            r#"GetAllInterfaces | math "address" "+4294967296" | join "string" " ""#,
            r#"error calling math: unable to perform an IPMath operation on 127.0.0.1/8 {1 65536 lo  up|loopback|running}: unable to convert "+4294967296" to int for operation "address": strconv.ParseInt: parsing "+4294967296": value out of range"#,
        ),
    ] {
        let said = filled(template, &machine).unwrap_err();
        assert!(said.ends_with(&format!(": {why}")), "{template}:\n{said}\n{why}");
    }
    let whole = [
        (
            "Nope",
            r#"unable to parse template "{{ Nope }}": template: sockaddr.Parse:1: function "Nope" not defined"#,
        ),
        (
            "GetInterfaceIP",
            "unable to execute sockaddr input \"{{ GetInterfaceIP }}\": template: sockaddr.Parse:1:3: executing \"sockaddr.Parse\" \
             at <GetInterfaceIP>: wrong number of args for GetInterfaceIP: want 1 got 0",
        ),
        (
            "GetPrivateIP | attr \"address\"",
            "unable to execute sockaddr input \"{{ GetPrivateIP | attr \\\"address\\\" }}\": template: sockaddr.Parse:1:18: executing \
             \"sockaddr.Parse\" at <attr \"address\">: error calling attr: unable to obtain attribute address from type string \
             (192.168.7.9)",
        ),
    ];
    for (template, said) in whole {
        assert_eq!(filled(template, &machine), Err(said.to_owned()));
    }
}

#[test]
fn addresses_that_only_some_kinds_have() {
    let machine = machine();
    let v4 = "GetAllInterfaces | include \"name\" \"d0\" | include \"type\" \"IPv4\"";
    for (attribute, text) in [
        ("broadcast", "10.1.2.255"),
        ("uint32", "167838211"),
        ("octets", "10 1 2 3"),
        ("hex", "0a010203"),
        ("binary", "00001010000000010000001000000011"),
        ("first_usable", "10.1.2.1"),
        ("last_usable", "10.1.2.254"),
        ("netmask", "255.255.255.0"),
        ("size", "256"),
    ] {
        assert_eq!(filled(&format!("{v4} | attr \"{attribute}\""), &machine).as_deref(), Ok(text));
    }
    let excluded =
        "GetAllInterfaces | exclude \"network\" \"10.0.0.0/8|192.168.0.0/16\" | join \"name\" \" \"";
    assert_eq!(filled(excluded, &machine).as_deref(), Ok("lo lo d0 e1 eth0 pub pub"));
}

#[test]
fn without_a_default_route_there_are_private_addresses_all_the_same() {
    let machine = Machine { default: None, ..machine() };
    assert!(filled("GetDefaultInterfaces", &machine).unwrap_err().ends_with("No default interface found"));
    assert_eq!(filled("GetPrivateIP", &machine).as_deref(), Ok("192.168.7.9"));
    assert_eq!(filled("GetPrivateIP", &Machine::default()).as_deref(), Ok(""));
    assert_eq!(expand("no template", &machine).as_deref(), Ok("no template"));
    assert_eq!(expand("[{{ GetPublicIP }}]:{{ 80 }}", &machine).as_deref(), Ok("[8.8.4.4]:80"));
}
