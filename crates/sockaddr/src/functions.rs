//! The function table, and templates that use it.

use std::sync::Arc;

use go_template::{
    Delimiters, Host, IntKind, List, Lookup, Options, Signature, Struct, StructType, Template, Templates,
    Type, UintKind, Value,
};

use crate::{Address, Machine, attribute, math, order, select};

/// Why a template gives no text, in go-sockaddr's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// It cannot be understood.
    #[error("unable to parse template {source_text:?}: {reason}")]
    Parse {
        /// The template.
        source_text: String,
        /// What is wrong, with its line.
        reason: String,
    },
    /// It failed while it was executed.
    #[error("unable to execute sockaddr input {source_text:?}: {reason}")]
    Execute {
        /// The template.
        source_text: String,
        /// What failed, with its place.
        reason: String,
    },
}

/// Fills a template in: `{{ GetPrivateIP }}:80` becomes `10.1.2.3:80`. A text without braces stays as it is.
///
/// Errors when it is no template, or one of its functions refuses what it is given.
pub fn expand(source: &str, machine: &Machine) -> Result<String, TemplateError> {
    let lookup = |name: &str| match signature(name) {
        Some(_) => Lookup::Known,
        None => Lookup::Unknown(String::new()),
    };
    let template =
        Template::parse("sockaddr.Parse", source.as_bytes(), &Delimiters::default(), &lookup).map_err(
            |error| TemplateError::Parse { source_text: source.to_owned(), reason: error.to_string() },
        )?;
    let text = template.execute(Value::Nil, Options::default(), &mut Table(machine)).map_err(|error| {
        TemplateError::Execute { source_text: source.to_owned(), reason: error.to_string() }
    })?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// How templates see an address: `{{ range GetAllInterfaces }}{{ .Name }} {{ .SockAddr }}{{ end }}`.
static IF_ADDR: StructType = StructType {
    name: "sockaddr.IfAddr",
    fields: &[
        ("SockAddr", Type::Str),
        ("Index", Type::INT),
        ("MTU", Type::INT),
        ("Name", Type::Str),
        ("Flags", Type::Str),
        ("Bits", Type::INT),
    ],
};
const ONE: Type = Type::Struct(&IF_ADDR);
const MANY: Type = Type::NamedList("sockaddr.IfAddrs", &ONE);
const UINT: Type = Type::Uint(UintKind::Uint64);

fn signature(name: &str) -> Option<Signature> {
    Some(match name {
        "GetAllInterfaces" | "GetDefaultInterfaces" | "GetPrivateInterfaces" | "GetPublicInterfaces" => {
            Signature::new(&[], MANY)
        }
        "GetPrivateIP" | "GetPrivateIPs" | "GetPublicIP" | "GetPublicIPs" => Signature::new(&[], Type::Str),
        "GetInterfaceIP" | "GetInterfaceIPs" => Signature::new(&[Type::Str], Type::Str),
        "include" | "exclude" | "math" => Signature::new(&[Type::Str, Type::Str, MANY], MANY),
        "sort" | "unique" => Signature::new(&[Type::Str, MANY], MANY),
        "join" => Signature::new(&[Type::Str, Type::Str, MANY], Type::Str),
        "attr" => Signature::new(&[Type::Str, Type::Any], Type::Str),
        "limit" => Signature::new(&[UINT, MANY], MANY),
        "offset" => Signature::new(&[Type::INT, MANY], MANY),
        _ => return None,
    })
}

struct Table<'a>(&'a Machine);

impl Host for Table<'_> {
    fn signature(&self, name: &str) -> Option<Signature> {
        signature(name)
    }

    fn call(&mut self, name: &str, args: Vec<Value>, _: &Templates<'_>) -> Result<Value, String> {
        let text = |at: usize| args.get(at).map(shown).unwrap_or_default();
        let list = || args.last().map(addresses).unwrap_or_default();
        let machine = self.0;
        Ok(match name {
            "GetAllInterfaces" => many(machine.addresses.clone()),
            "GetDefaultInterfaces" => many(machine.defaults()?),
            "GetPrivateInterfaces" => many(machine.usable(true)?),
            "GetPublicInterfaces" => many(machine.usable(false)?),
            "GetPrivateIP" => first(&machine.usable(true)?),
            "GetPublicIP" => first(&machine.usable(false)?),
            "GetPrivateIPs" => all_of(&machine.forwardable(true)?),
            "GetPublicIPs" => all_of(&machine.forwardable(false)?),
            "GetInterfaceIP" => first(&select::include("flags", "forwardable", machine.named(&text(0))?)?),
            "GetInterfaceIPs" => all_of(&machine.named(&text(0))?),
            "include" => many(select::include(&text(0), &text(1), list())?),
            "exclude" => many(select::exclude(&text(0), &text(1), list())?),
            "sort" => many(order::sort(&text(0), list(), machine.default.as_deref())?),
            "unique" => many(select::unique(&text(0), list())?),
            "math" => many(math::math(&text(0), &text(1), list())?),
            "join" => attribute::join(&text(0), &text(1), &list())?.as_str().into(),
            "attr" => attr(&text(0), args.get(1).unwrap_or(&Value::Nil))?,
            "limit" => many(list().into_iter().take(number(&args)).collect()),
            "offset" => match args.first() {
                Some(Value::Int(by, _)) => many(select::offset(*by, list())?),
                _ => many(list()),
            },
            _ => return Err(format!("{name} is no function")),
        })
    }
}

/// The attribute of the first address of a list, or of one address.
fn attr(name: &str, of: &Value) -> Result<Value, String> {
    match of {
        Value::List(list) if list.ty == MANY => match addresses(of).first() {
            Some(address) => Ok(attribute::attribute(name, address)?.as_str().into()),
            None => Ok("".into()),
        },
        Value::Struct(_) => match address(of) {
            Some(address) => Ok(attribute::attribute(name, &address)?.as_str().into()),
            None => Ok("".into()),
        },
        other => {
            Err(format!("unable to obtain attribute {name} from type {} ({})", kind_of(other), shown(other)))
        }
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Str(_) => "string",
        Value::Int(..) => "int",
        Value::Bool(_) => "bool",
        _ => "interface {}",
    }
}

impl Machine {
    /// The addresses of the interface that the default route goes through.
    fn defaults(&self) -> Result<Vec<Address>, String> {
        let Some(default) = &self.default else { return Err("No default interface found".into()) };
        Ok(self.addresses.iter().filter(|address| address.name == *default).cloned().collect())
    }

    /// Private or public addresses of interfaces that are up, the default route's first.
    fn usable(&self, private: bool) -> Result<Vec<Address>, String> {
        let sorted = order::sort("default,type,size", self.addresses.clone(), self.default.as_deref())?;
        narrowed(select::include("flags", "forwardable|up", sorted)?, private)
    }

    /// Private or public addresses of all interfaces, large networks first.
    fn forwardable(&self, private: bool) -> Result<Vec<Address>, String> {
        let sorted = order::sort("type,size", self.addresses.clone(), None)?;
        narrowed(select::include("flags", "forwardable", sorted)?, private)
    }

    /// The addresses of interfaces whose names fit a pattern.
    fn named(&self, pattern: &str) -> Result<Vec<Address>, String> {
        order::sort("type,size", select::include("name", pattern, self.addresses.clone())?, None)
    }
}

fn narrowed(all: Vec<Address>, private: bool) -> Result<Vec<Address>, String> {
    if private { select::include("rfc", "6890", all) } else { select::exclude("rfc", "6890", all) }
}

fn first(all: &[Address]) -> Value {
    all.first().map_or_else(|| "".into(), |address| address.ip.to_string().as_str().into())
}

fn all_of(all: &[Address]) -> Value {
    all.iter().map(|address| address.ip.to_string()).collect::<Vec<_>>().join(" ").as_str().into()
}

fn number(args: &[Value]) -> usize {
    match args.first() {
        Some(Value::Uint(number, _)) => usize::try_from(*number).unwrap_or(usize::MAX),
        Some(Value::Int(number, _)) => usize::try_from(*number).unwrap_or(0),
        _ => usize::MAX,
    }
}

fn shown(value: &Value) -> String {
    String::from_utf8_lossy(&go_template::fmt::print(std::slice::from_ref(value))).into_owned()
}

fn many(all: Vec<Address>) -> Value {
    let int = |number: u32| Value::Int(number.into(), IntKind::Int);
    let one = |address: Address| {
        let fields = vec![
            address.to_string().as_str().into(),
            int(address.index),
            int(address.mtu),
            address.name.as_str().into(),
            address.flags.as_str().into(),
            int(address.bits.into()),
        ];
        Value::Struct(Arc::new(Struct { ty: &IF_ADDR, fields }))
    };
    Value::List(Arc::new(List { ty: MANY, items: all.into_iter().map(one).collect(), nil: false }))
}

fn addresses(value: &Value) -> Vec<Address> {
    match value {
        Value::List(list) => list.items.iter().filter_map(address).collect(),
        _ => Vec::new(),
    }
}

/// An address as [`many`] made it.
fn address(value: &Value) -> Option<Address> {
    let Value::Struct(record) = value else { return None };
    let [sockaddr, index, mtu, name, flags, bits] = record.fields.as_slice() else { return None };
    let number = |value: &Value| match value {
        Value::Int(number, _) => u32::try_from(*number).ok(),
        _ => None,
    };
    let text = shown(sockaddr);
    Some(Address {
        ip: text.split('/').next()?.parse().ok()?,
        bits: u8::try_from(number(bits)?).ok()?,
        index: number(index)?,
        name: shown(name),
        mtu: number(mtu)?,
        flags: shown(flags),
    })
}
