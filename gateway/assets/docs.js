// Shows openapi.json. Whatever stands in it gets onto the page as text, never as markup.
"use strict";

const METHODS = ["get", "put", "post", "delete", "patch"];
let api;

function el(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

// Text with `code` in it.
function text(source) {
  const parts = String(source || "").split("`");
  return parts.map((part, n) => (n % 2 ? el("code", {}, part) : document.createTextNode(part)));
}

function resolve(value) {
  let found = value || {};
  for (let hops = 0; found.$ref && hops < 8; hops++) {
    found = found.$ref.slice(2).split("/").reduce((at, key) => (at || {})[key], api) || {};
  }
  return found;
}

// A schema in a few words.
function kind(schema) {
  const s = resolve(schema);
  if ("const" in s) return JSON.stringify(s.const);
  if (s.enum) return s.enum.map((one) => JSON.stringify(one)).join(" | ");
  const some = s.anyOf || s.oneOf;
  if (some && !s.properties) return some.map(kind).join(" | ");
  if (s.type === "array") return "list of " + kind(s.items);
  const limits = [];
  if (s.minLength !== undefined || s.maxLength !== undefined) {
    limits.push(`${s.minLength || 0}–${s.maxLength === undefined ? "…" : s.maxLength} characters`);
  }
  if (s.minimum !== undefined && s.maximum !== undefined && Math.abs(s.minimum) < 1e15) limits.push(`${s.minimum}–${s.maximum}`);
  if (s.maxItems !== undefined) limits.push(`at most ${s.maxItems} entries`);
  if (s.pattern) limits.push(s.pattern);
  const type = [].concat(s.type || (s.properties || s.allOf ? "object" : "anything")).join(" or ");
  return [s.format === "binary" ? "bytes" : type, ...limits].join(", ");
}

// The fields of an object and of what it is composed of: [name, schema, required, depth].
function fields(schema, depth = 0, seen = []) {
  const s = resolve(schema);
  if (seen.includes(s) || depth > 4) return [];
  const deeper = [...seen, s];
  const parts = [...(s.allOf || []), ...(s.anyOf || []), ...(s.oneOf || [])];
  const rows = parts.flatMap((part) => fields(part, depth, deeper));
  for (const [name, property] of Object.entries(s.properties || {})) {
    rows.push([name, property, (s.required || []).includes(name), depth]);
    const inner = resolve(property);
    rows.push(...fields(inner.type === "array" ? inner.items : inner, depth + 1, deeper));
  }
  return rows;
}

function table(rows) {
  if (!rows.length) return null;
  const body = rows.map(([name, schema, required, depth]) => {
    const about = resolve(schema).description || schema.description || "";
    const shown = el("code", required ? { class: "required" } : {}, "\u2003".repeat(depth) + name);
    return el("tr", {}, el("td", {}, shown), el("td", {}, el("code", {}, kind(schema))), el("td", {}, ...text(about)));
  });
  return el("table", {}, el("tbody", {}, ...body));
}

function example(content) {
  const all = Object.entries(content.examples || {}).map(([name, one]) => [name, resolve(one).value]);
  if (content.example !== undefined) all.push(["example", content.example]);
  return all.map(([name, value]) => {
    const shown = typeof value === "string" ? value : JSON.stringify(value, null, 2);
    return el("div", {}, all.length > 1 ? el("h4", {}, name) : null, el("pre", {}, shown));
  });
}

function contents(content) {
  const kinds = Object.entries(content || {});
  const [, first] = kinds[0] || [];
  if (!first) return [];
  const names = kinds.map(([name]) => el("code", {}, name));
  return [
    el("p", {}, ...names.flatMap((name, n) => (n ? [", ", name] : [name]))),
    table(fields(first.schema)),
    ...kinds.flatMap(([, one]) => example(one)),
  ].filter(Boolean);
}

function call(method, path, operation) {
  const box = el("details", { id: operation.operationId || `${method}-${path}` });
  box.append(
    el("summary", {}, el("span", { class: "method" }, method.toUpperCase()), el("code", {}, path),
      el("span", { class: "what" }, operation.summary || "")),
  );
  box.addEventListener("toggle", () => {
    if (box.open && box.children.length === 1) box.append(...parts(operation));
  });
  box.dataset.words = JSON.stringify([method, path, operation]).toLowerCase();
  return box;
}

function parts(operation) {
  const made = [];
  if (operation.description) made.push(el("p", { class: "text" }, ...text(operation.description)));
  const keys = (operation.security || []).flatMap((one) => Object.keys(one));
  const secured = keys.map((key) => resolve({ $ref: `#/components/securitySchemes/${key}` }));
  const parameters = (operation.parameters || []).map(resolve);
  const rows = [
    ...secured.map((one) => [`${one.name} (${one.in})`, { type: "string", description: one.description }, true, 0]),
    ...parameters.map((one) => [`${one.name} (${one.in})`, { ...resolve(one.schema), description: one.description || resolve(one.schema).description }, one.required, 0]),
  ];
  if (rows.length) made.push(el("h3", {}, "Parameters"), table(rows));
  const body = resolve(operation.requestBody);
  if (body.content) made.push(el("h3", {}, "Body"), el("p", {}, ...text(body.description)), ...contents(body.content));
  made.push(el("h3", {}, "Answers"));
  for (const [status, given] of Object.entries(operation.responses || {})) {
    const answer = resolve(given);
    const first = String(answer.description || "").split("\n")[0];
    const box = el("details", status === "200" ? { open: "" } : {}, el("summary", {}, el("b", {}, status), " ", ...text(first)));
    const rest = String(answer.description || "").split("\n").slice(1).join("\n");
    if (rest) box.append(el("p", { class: "text" }, ...text(rest)));
    const headers = Object.entries(answer.headers || {}).map(([name, one]) => {
      const header = resolve(one);
      return [name, { ...resolve(header.schema), description: header.description }, header.required, 0];
    });
    box.append(...contents(answer.content));
    if (headers.length) box.append(el("h4", {}, "Header"), table(headers));
    made.push(box);
  }
  return made;
}

function show() {
  const about = document.getElementById("about");
  about.replaceChildren(...text(api.info.description), " ", el("a", { href: "/openapi.json" }, "openapi.json"));
  const missing = api["x-kith-missing"] || [];
  if (missing.length) about.append(el("p", { class: "missing" }, `Not reachable, and therefore left out: ${missing.join(", ")}`));
  const byTag = new Map();
  for (const [path, item] of Object.entries(api.paths || {})) {
    for (const method of METHODS.filter((one) => item[one])) {
      const tag = (item[method].tags || ["Others"])[0];
      if (!byTag.has(tag)) byTag.set(tag, []);
      byTag.get(tag).push(call(method, path, item[method]));
    }
  }
  const sections = [...byTag].sort().map(([tag, calls]) => el("section", {}, el("h2", {}, tag), ...calls));
  document.getElementById("calls").replaceChildren(...sections);
  if (location.hash) {
    const asked = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (asked) {
      asked.open = true;
      asked.scrollIntoView();
    }
  }
}

document.getElementById("find").addEventListener("input", (event) => {
  const words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const box of document.querySelectorAll("main section > details")) {
    box.hidden = !words.every((word) => box.dataset.words.includes(word));
  }
  for (const section of document.querySelectorAll("main section")) {
    section.hidden = !section.querySelector("details:not([hidden])");
  }
});

fetch("/openapi.json")
  .then((answer) => answer.json())
  .then((read) => {
    api = read;
    show();
  })
  .catch(() => {
    document.getElementById("about").textContent = "openapi.json could not be read: reload this page.";
  });
