//! Links to our media: only the file's name is stored, the link is built anew for each answer (contract §0), so
//! that they follow a change of the public address.

mod name;

#[cfg(feature = "media")]
pub(crate) use name::Kind;
pub use name::MediaName;

use crate::client::Client;
use crate::settings::Common;
use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};
use std::future::{Ready, ready};

/// Where links begin; application data of a service whose handlers take [`Links`].
#[derive(Debug, Clone)]
pub struct LinkBase(String);

impl LinkBase {
    pub fn new(common: &Common) -> Self {
        Self(common.public_base_url.clone())
    }

    /// Of a request: `public_base_url`, or what the client called us by where that is empty.
    pub fn of(&self, client: &Client) -> Links {
        let base = if self.0.is_empty() { &*client.base_url } else { self.0.as_str() };
        Links(format!("{base}/media/"))
    }
}

/// Makes and recognises links to our media, for one request.
#[derive(Debug, Clone)]
pub struct Links(String);

impl Links {
    /// For what is not asked by a request: `public_base_url` is set.
    pub fn fixed(public_base_url: &str) -> Self {
        Self(format!("{public_base_url}/media/"))
    }

    /// A stored icon as clients see it: of a file of ours the link, anything else verbatim.
    pub fn shown(&self, stored: &str) -> String {
        match MediaName::parse(stored) {
            Some(name) => format!("{}{name}", self.0),
            None => stored.to_owned(),
        }
    }

    /// An icon as a client gave it, the way it is stored: of a link of ours the file's name. The path decides: what
    /// clients hang on against caches (`?v=2`) names no other file.
    pub fn stored(&self, given: &str) -> String {
        let path = given.split(['?', '#']).next().unwrap_or_default();
        let name = path.strip_prefix(self.0.as_str()).and_then(MediaName::parse);
        name.map_or_else(|| given.to_owned(), |name| name.as_str().to_owned())
    }
}

impl FromRequest for Links {
    type Error = actix_web::Error;
    type Future = Ready<Result<Self, Self::Error>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let missing = || actix_web::error::ErrorInternalServerError("the service has no link base");
        let client = Client::from_request(req, payload).into_inner();
        ready(client.and_then(|client| {
            let base = req.app_data::<web::Data<LinkBase>>().ok_or_else(missing)?;
            Ok(base.of(&client))
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_links_are_stored_as_names_and_shown_as_links() {
        let links = Links("https://im.example/media/".into());
        let name = format!("{}.jpg", "ab".repeat(32));
        let link = format!("https://im.example/media/{name}");
        assert_eq!(links.stored(&link), name);
        assert_eq!(links.shown(&name), link);
        for hung_on in ["?v=2", "#x", "?a=/b.jpg#c?d", "?", "#"] {
            assert_eq!(links.stored(&format!("{link}{hung_on}")), name);
        }
        for foreign in [
            format!("https://other.example/media/{name}"),
            format!("https://other.example/media/{name}?v=2"),
            format!("https://other.example/?https://im.example/media/{name}"),
            "https://im.example/media/x.jpg".to_owned(),
            format!("https://im.example/media/{name}/x"),
            format!("https://im.example/media/../{name}"),
            "http://url".to_owned(),
            String::new(),
        ] {
            assert_eq!(links.stored(&foreign), foreign);
            assert_eq!(links.shown(&foreign), foreign);
        }
    }
}

#[cfg(all(test, feature = "testkit"))]
mod fuzz {
    use super::*;
    use crate::testkit::fuzz::{target, texts};

    #[test]
    fn links() {
        target(env!("CARGO_MANIFEST_DIR"), "links", |input| {
            let Some([base, given]) = texts(input) else { return };
            // The settings and `Client` see to that.
            if base.contains(['?', '#']) {
                return;
            }
            let links = Links::fixed(base);
            let stored = links.stored(given);
            assert_eq!(links.stored(&stored), stored);
            match MediaName::parse(&stored) {
                Some(name) => {
                    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'.';
                    assert!(name.as_str().bytes().all(plain) && name.as_str().len() < 70, "{name}");
                    let link = format!("{base}/media/{name}");
                    assert_eq!((links.shown(&stored), links.stored(&link)), (link.clone(), stored.clone()));
                    assert!(given == stored || given.starts_with(&link), "{given}");
                }
                None => assert_eq!((links.shown(&stored), stored.as_str()), (stored.clone(), given)),
            }
        });
    }
}
