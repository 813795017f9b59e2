//! The route table: which path goes to which service. Nothing else in the gateway knows a path of a service, but for
//! the socket path in `relay`.
//!
//! The dialect of a path is not a column: failures ask `Dialect::of_path`, as the services do for unknown paths.

use crate::settings::{RouteTable, UpstreamTable};

/// The table in force.
#[derive(Clone)]
pub struct Routes {
    upstreams: Vec<String>,
    /// The longest prefix first; fixed prefixes before patterns, so that no pattern takes a fixed prefix's paths.
    rows: Vec<Row>,
}

#[derive(Clone)]
struct Row {
    prefix: Prefix,
    upstream: usize,
}

#[derive(Clone)]
enum Prefix {
    /// `/tu_`: whatever begins so.
    Open(String),
    /// `/im`: ends at `/` or the path's end.
    Whole(String),
    /// `/{version}/Application`: any first segment, then this.
    AfterAny(String),
}

impl Routes {
    pub fn new(routes: &RouteTable, upstreams: &UpstreamTable) -> Result<Self, String> {
        let names: Vec<String> = upstreams.0.keys().cloned().collect();
        let mut rows = Vec::new();
        for (name, row) in routes.0.iter().filter(|(_, row)| !row.upstream.is_empty()) {
            let upstream = names
                .iter()
                .position(|n| *n == row.upstream)
                .ok_or_else(|| format!("gateway.routes.{name}.upstream: no such upstream: {}", row.upstream))?;
            let prefix = Prefix::parse(&row.prefix).ok_or_else(|| {
                format!("gateway.routes.{name}.prefix: must be like /a/b, /a_ or /{{any}}/a: {}", row.prefix)
            })?;
            rows.push(Row { prefix, upstream });
        }
        rows.sort_by_key(|row| std::cmp::Reverse(row.prefix.rank()));
        Ok(Self { upstreams: names, rows })
    }

    pub fn upstream_names(&self) -> &[String] {
        &self.upstreams
    }

    /// Whether any path goes to this service.
    pub fn lead_to(&self, name: &str) -> bool {
        self.rows.iter().any(|row| self.upstreams.get(row.upstream).is_some_and(|upstream| upstream == name))
    }

    /// The service of a path, as an index into the names.
    pub fn find(&self, path: &str) -> Option<usize> {
        self.rows.iter().find(|row| row.prefix.matches(path)).map(|row| row.upstream)
    }
}

impl Prefix {
    fn parse(text: &str) -> Option<Self> {
        let (text, after_any) = match text.strip_prefix("/{") {
            None => (text, false),
            Some(rest) => (rest.split_once('}')?.1, true),
        };
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~".contains(&b);
        let sound = |part: &str| !part.is_empty() && part != "." && part != ".." && part.bytes().all(plain);
        if !text.strip_prefix('/')?.split('/').all(sound) {
            return None;
        }
        let text = text.to_owned();
        Some(match (after_any, text.ends_with('_')) {
            (true, _) => Self::AfterAny(text),
            (false, true) => Self::Open(text),
            (false, false) => Self::Whole(text),
        })
    }

    fn rank(&self) -> (bool, usize) {
        match self {
            Self::Open(text) | Self::Whole(text) => (true, text.len()),
            Self::AfterAny(text) => (false, text.len()),
        }
    }

    fn matches(&self, path: &str) -> bool {
        let whole = |path: &str, text: &str| {
            path.strip_prefix(text).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        match self {
            Self::Open(text) => path.starts_with(text.as_str()),
            Self::Whole(text) => whole(path, text),
            Self::AfterAny(text) => {
                let rest = path.strip_prefix('/').and_then(|p| p.find('/').map(|i| p.split_at(i)));
                rest.is_some_and(|(first, rest)| !first.is_empty() && whole(rest, text))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::settings::RouteSettings;

    #[test]
    fn paths_of_the_documents_go_to_their_services() {
        let routes = Routes::new(&RouteTable::default(), &UpstreamTable::default()).unwrap();
        for (path, service) in [
            ("/tu_rc_get_urt_from_hp.action", "terminal_user"),
            ("/ua_reg_user_from_hp.action", "terminal_user"),
            ("/tu_", "terminal_user"),
            ("/bind", "terminal_user"),
            ("/bind/poll", "terminal_user"),
            ("/binding", "-"),
            ("/auth/user_register", "im_auth"),
            ("/user/get_users_online_status", "im_auth"),
            ("/users", "-"),
            ("/ws", "im_auth"),
            ("/ws/", "im_auth"),
            ("/wss", "-"),
            ("/media/abc.png", "im_auth"),
            ("/cmd", "im_auth"),
            ("/cmd/", "im_auth"),
            ("/im/user_get_token/", "im_auth"),
            ("/im/user_get_token", "im_auth"),
            ("/im/user_get_tokens", "groups"),
            ("/im/user_get_group_list/", "groups"),
            ("/im/customer_service_get_info/", "im_auth"),
            ("/im/11/group_join/", "groups"),
            ("/im", "groups"),
            ("/IM", "-"),
            ("/2013-12-26/Application/20150314000000110000000000000010/IM/getFriends", "friends"),
            ("/2013-12-26/Applications/x", "-"),
            ("/2013-12-26/Application", "friends"),
            ("/im/Application/x", "groups"),
            ("//Application/x", "-"),
            ("/Application/x", "-"),
            ("/x/2013-12-26/Application", "-"),
            ("/internal/users", "-"),
            ("/metrics", "-"),
            ("/", "-"),
        ] {
            let found = routes.find(path).map_or("-", |i| routes.upstream_names()[i].as_str());
            assert_eq!(found, service, "{path}");
        }
    }

    #[test]
    fn prefixes_that_could_not_match_are_refused() {
        for bad in ["", "im", "/", "/im/", "//im", "/i m", "/../im", "/im?x", "/{v}", "/{v", "/im/{v}/x", "/%69m"] {
            let row = RouteSettings { prefix: bad.into(), upstream: "groups".into() };
            let table = RouteTable([("x".to_owned(), row)].into());
            assert!(Routes::new(&table, &UpstreamTable::default()).is_err(), "{bad}");
        }
    }
}
