/** Builds the settings page with React's development build, because only this build has the strict mode. */

export default {
  root: "pages",
  mode: "development",
  define: { "process.env.NODE_ENV": '"development"' },
  build: { outDir: "../dist", emptyOutDir: true, minify: false, rolldownOptions: { input: "pages/settings.html" } },
};
