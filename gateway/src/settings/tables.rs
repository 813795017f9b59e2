//! The two tables. What is given lies over the defaults row by row and field by field, so that one row can come from
//! the environment and the others stay.

use super::values::HostPort;
use serde::{Deserialize, Deserializer, Serialize};
use service_kit::settings::List;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Services by name: each `host:port` stands for all addresses of the host.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = BTreeMap<String, Vec<String>>)]
pub struct UpstreamTable(pub BTreeMap<String, List<HostPort>>);

impl Default for UpstreamTable {
    fn default() -> Self {
        let at = |port| List(vec![HostPort { host: "127.0.0.1".into(), port }]);
        let rows = [("im_auth", 8081), ("terminal_user", 8082), ("groups", 8083), ("friends", 8084)];
        Self(rows.into_iter().map(|(name, port)| (name.to_owned(), at(port))).collect())
    }
}

impl<'de> Deserialize<'de> for UpstreamTable {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let mut table = Self::default();
        table.0.extend(BTreeMap::deserialize(d)?);
        Ok(table)
    }
}

impl UpstreamTable {
    pub(super) fn validate(&self) -> Result<(), String> {
        match self.0.iter().find(|(_, places)| places.0.is_empty()) {
            Some((name, _)) => Err(format!("gateway.upstreams.{name}: names no host:port")),
            None => Ok(()),
        }
    }
}

/// One row of the route table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct RouteSettings {
    /// `/prefix`; ends in the path at `/` or the end, unless it ends with `_` itself. A first segment in braces
    /// stands for any.
    pub prefix: String,
    /// A name out of `upstreams`; empty: the row does not count.
    pub upstream: String,
}

/// Rows by name; the names mean nothing but let a row be changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(transparent)]
pub struct RouteTable(pub BTreeMap<String, RouteSettings>);

impl Default for RouteTable {
    fn default() -> Self {
        let rows = [
            ("tu", "/tu_", "terminal_user"),
            ("ua", "/ua_", "terminal_user"),
            ("bind", "/bind", "terminal_user"),
            ("auth", "/auth", "im_auth"),
            ("user", "/user", "im_auth"),
            ("ws", "/ws", "im_auth"),
            ("media", "/media", "im_auth"),
            ("cmd", "/cmd", "im_auth"),
            ("im_token", "/im/user_get_token", "im_auth"),
            ("im_customer_service", "/im/customer_service_get_info", "im_auth"),
            ("im", "/im", "groups"),
            ("application", "/{version}/Application", "friends"),
        ];
        let row = |(name, prefix, upstream): (&str, &str, &str)| {
            (name.to_owned(), RouteSettings { prefix: prefix.into(), upstream: upstream.into() })
        };
        Self(rows.into_iter().map(row).collect())
    }
}

impl<'de> Deserialize<'de> for RouteTable {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Row {
            prefix: Option<String>,
            upstream: Option<String>,
        }
        let mut table = Self::default();
        for (name, given) in BTreeMap::<String, Row>::deserialize(d)? {
            let empty = RouteSettings { prefix: String::new(), upstream: String::new() };
            let row = table.0.entry(name.clone()).or_insert(empty);
            if let Some(prefix) = given.prefix {
                row.prefix = prefix;
                // A new row without a service is a mistake; one that takes a service away says so with "".
                if given.upstream.is_none() && row.upstream.is_empty() {
                    return Err(serde::de::Error::custom(format!("gateway.routes.{name}.upstream: missing")));
                }
            }
            if let Some(upstream) = given.upstream {
                row.upstream = upstream;
            }
        }
        Ok(table)
    }
}
