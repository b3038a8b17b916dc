// Starts the reference on the document that this server answers.
// Swagger UI has dark colors, which its stylesheet applies to the class `dark-mode` of the root element.
const dark = matchMedia("(prefers-color-scheme: dark)");
const applyScheme = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
applyScheme();
dark.addEventListener("change", applyScheme);

SwaggerUIBundle({ url: "/openapi.json", dom_id: "#reference", deepLinking: true, docExpansion: "list", filter: true });
