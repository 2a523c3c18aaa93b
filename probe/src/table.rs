//! Which routes a service has: what a request is called, and what it asked for that there is not.

use std::sync::Arc;

/// The routes of a service.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// Method, path as axum writes it (`/users/{id}`), and the query that is expected.
    http: Vec<(String, String)>,
    /// Names of the gRPC services.
    grpc: Vec<&'static str>,
}

impl Table {
    pub(crate) fn new(http: Vec<(String, String)>, grpc: Vec<&'static str>) -> Arc<Table> {
        Arc::new(Table { http, grpc })
    }

    /// The route of a path, whatever the method.
    pub(crate) fn route(&self, path: &str) -> Option<&str> {
        let routes = self.http.iter().map(|(_, route)| route.split('?').next().unwrap_or_default());
        routes.into_iter().find(|route| fits(route, path))
    }

    /// Service and method of a path that is one of gRPC.
    pub(crate) fn rpc<'a>(&self, path: &'a str) -> Option<(&'static str, &'a str)> {
        let (service, method) = path.strip_prefix('/')?.rsplit_once('/')?;
        let known = self.grpc.iter().find(|known| **known == service)?;
        Some((known, method))
    }

    /// All routes of HTTP in one line, for whoever asked for another.
    pub(crate) fn told(&self) -> String {
        let told: Vec<_> =
            self.http.iter().map(|(method, path)| format!("{method} {path}")).collect();
        told.join(", ")
    }
}

/// Whether a path is one of those that a route stands for.
fn fits(route: &str, path: &str) -> bool {
    let (mut parts, mut route) = (path.split('/'), route.split('/'));
    loop {
        match (route.next(), parts.next()) {
            (None, None) => return true,
            (Some(part), Some(_)) if part.starts_with("{*") => return true,
            (Some(part), Some(given)) if part == given => {}
            (Some(part), Some(given)) if part.starts_with('{') && !given.is_empty() => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_called_by_their_route_and_no_other_by_one() {
        let routes = ["/users/{id}", "/users/count?email=E", "/files/{*rest}", "/"];
        let http = routes.map(|path| ("GET".to_owned(), path.to_owned())).to_vec();
        let table = Table::new(http, vec!["lab.v1.Echo"]);
        for (path, route) in [
            ("/users/7", Some("/users/{id}")),
            ("/users/", None),
            ("/users/7/x", None),
            ("/files/a/b", Some("/files/{*rest}")),
            ("/", Some("/")),
            ("/other", None),
        ] {
            assert_eq!(table.route(path), route, "{path}");
        }
        assert_eq!(table.rpc("/lab.v1.Echo/Echo"), Some(("lab.v1.Echo", "Echo")));
        assert_eq!(table.rpc("/lab.v1.Other/Echo"), None);
    }
}
