// Swagger UI on the document of this server. Requests carry the session's CSRF token, unless they have a bearer token.
"use strict";
(function () {
  const safe = ["GET", "HEAD", "OPTIONS"];
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");

  function csrfToken() {
    const found = document.cookie.split("; ").find((each) => each.startsWith("csrftoken="));
    return found ? decodeURIComponent(found.slice("csrftoken=".length)) : "";
  }

  function withToken(request) {
    const method = (request.method || "GET").toUpperCase();
    const isOwn = new URL(request.url, location.href).origin === location.origin;
    if (isOwn && !safe.includes(method) && !request.headers.Authorization) {
      request.headers["X-CSRFToken"] = csrfToken();
    }
    return request;
  }

  // The pages' choice of light or dark is Swagger UI's, too.
  function followTheme() {
    const theme = root.dataset.theme || (dark.matches ? "dark" : "light");
    root.classList.toggle("dark-mode", theme === "dark");
  }
  followTheme();
  dark.addEventListener("change", followTheme);
  new MutationObserver(followTheme).observe(root, { attributeFilter: ["data-theme"] });

  SwaggerUIBundle({
    dom_id: "#swagger",
    url: "/api/v1/docs.json",
    deepLinking: true,
    docExpansion: "none",
    filter: true,
    displayRequestDuration: true,
    defaultModelsExpandDepth: 0,
    tryItOutEnabled: true,
    validatorUrl: null,
    requestInterceptor: withToken,
  });
})();
