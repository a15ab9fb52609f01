// Prints the packages that the vendored files consist of: as JSON, or with the texts of their licences.
import { readFileSync, readdirSync } from "node:fs";

const lock = JSON.parse(readFileSync("package-lock.json", "utf8"));
const names = Object.entries(lock.packages)
  .filter(([path, entry]) => path && !entry.dev && !entry.optional)
  .map(([path]) => path)
  .sort();
const packages = names.map((path) => {
  const about = JSON.parse(readFileSync(`${path}/package.json`, "utf8"));
  const file = readdirSync(path).find((name) => /^licen[cs]e/i.test(name));
  return {
    name: about.name,
    version: about.version,
    licence: about.license,
    integrity: lock.packages[path].integrity,
    text: file ? readFileSync(`${path}/${file}`, "utf8").trim() : "",
  };
});
if (process.argv[2] === "licences")
  for (const { name, version, licence, text } of packages)
    process.stdout.write(`${"=".repeat(100)}\n${name} ${version} (${licence})\n\n${text}\n\n`);
else process.stdout.write(JSON.stringify({ packages: packages.map(({ text, ...rest }) => rest) }));
