//! The table of calls. Each is added with the least role that may make it, and there is no other way to add one.

use std::sync::Arc;

use axum::{
    Router,
    extract::Request,
    handler::Handler,
    middleware::{Next, from_fn},
    routing::{MethodFilter, on},
};

use super::auth;
use crate::{config::ApiRole, http::Context};

/// Calls, as a router and, for tests and docs/tokens.md, as a list.
#[derive(Default)]
pub(super) struct Calls {
    pub(super) router: Router<Arc<Context>>,
    #[cfg(test)]
    pub(super) listed: Vec<Listed>,
}

/// One call as it is listed.
#[cfg(test)]
#[derive(Debug, Clone)]
pub(in crate::http) struct Listed {
    pub(in crate::http) method: &'static str,
    pub(in crate::http) path: &'static str,
    pub(in crate::http) least: ApiRole,
}

macro_rules! method {
    ($(#[$doc:meta])* $name:ident, $method:ident) => {
        $(#[$doc])*
        pub(super) fn $name<H, T>(self, least: ApiRole, path: &'static str, handler: H) -> Self
        where
            H: Handler<T, Arc<Context>>,
            T: 'static,
        {
            self.call((MethodFilter::$method, stringify!($method)), least, path, handler)
        }
    };
}

impl Calls {
    method!(
        /// With a GET, or a HEAD.
        get, GET
    );
    method!(
        /// With a POST.
        post, POST
    );
    method!(
        /// With a PATCH.
        patch, PATCH
    );
    method!(
        /// With a DELETE.
        delete, DELETE
    );

    #[cfg_attr(not(test), expect(unused_variables, reason = "the name of the method is for the list"))]
    fn call<H, T>(
        mut self,
        (filter, method): (MethodFilter, &'static str),
        least: ApiRole,
        path: &'static str,
        handler: H,
    ) -> Self
    where
        H: Handler<T, Arc<Context>>,
        T: 'static,
    {
        let guard = from_fn(move |request: Request, next: Next| auth::require_role(least, request, next));
        self.router = self.router.route(path, on(filter, handler).route_layer(guard));
        #[cfg(test)]
        self.listed.push(Listed { method, path, least });
        self
    }
}
