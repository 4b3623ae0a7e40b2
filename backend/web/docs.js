"use strict";

const element = (name, text = "", className = "") => {
  const made = document.createElement(name);
  made.textContent = text;
  if (className) made.className = className;
  return made;
};

const nameOf = (reference) => reference.split("/").pop();

let schemas = {};

const resolved = (schema) => (schema.$ref ? schemas[nameOf(schema.$ref)] : schema);

function typeOf(schema) {
  if (!schema) return "";
  if (schema.$ref) return resolved(schema)?.enum?.join(" | ") || nameOf(schema.$ref);
  if (schema.enum) return schema.enum.join(" | ");
  if (schema.const) return String(schema.const);
  const variants = schema.anyOf || schema.oneOf;
  if (variants) return variants.map(typeOf).join(" or ");
  if (schema.type === "array") return `[${typeOf(schema.items) || "any"}, …]`;
  return schema.format || schema.type || "any";
}

function table(head, rows) {
  const made = element("table");
  const first = made.appendChild(element("tr"));
  head.forEach((title) => first.append(element("th", title)));
  rows.forEach((cells) => {
    const line = made.appendChild(element("tr"));
    cells.forEach((cell) => line.append(element("td", cell)));
  });
  return made;
}

function bodyOf(operation) {
  const content = operation.requestBody?.content?.["application/json"];
  if (!content) return [];
  const parts = resolved(content.schema).oneOf || [content.schema];
  const keys = parts.flatMap((part) => keysOf(`Body ${typeOf(part)}`, resolved(part)));
  return [...keys, ...Object.values(content.examples || {}).flatMap(exampleOf)];
}

function exampleOf({ summary, value }) {
  return [element("p", summary, "dim"), element("pre", JSON.stringify(value, null, 1))];
}

function keysOf(title, schema) {
  const required = new Set(schema?.required || []);
  const rows = Object.entries(schema?.properties || {}).map(([key, value]) => [
    key, typeOf(value), required.has(key) ? "required" : "", value.description || "",
  ]);
  return [element("h4", title), table(["key", "type", "", ""], rows)];
}

function callOf(verb, path, operation) {
  const made = element("details");
  const summary = made.appendChild(element("summary"));
  summary.append(element("span", verb.toUpperCase(), "verb"), element("code", path), ` ${operation.summary || ""}`);
  made.append(element("p", operation.description || ""));
  const parameters = operation.parameters || [];
  if (parameters.length) {
    made.append(element("h4", "Parameters"), table(
      ["name", "in", "type", ""],
      parameters.map((one) => [one.name, one.in, typeOf(one.schema), one.description || one.schema?.description || ""]),
    ));
  }
  made.append(...bodyOf(operation));
  made.append(element("h4", "Answers"), table(["status", "what"], Object.entries(operation.responses).map(
    ([status, answer]) => [status, [answer.description, typeOf(answer.content?.["application/json"]?.schema)].filter(Boolean).join(": ")],
  )));
  return made;
}

function show(document_) {
  schemas = document_.components?.schemas || {};
  const calls = document.getElementById("calls");
  calls.replaceChildren();
  for (const tag of document_.tags) {
    calls.append(element("h2", tag.name), element("p", tag.description, "dim"));
    for (const [path, operations] of Object.entries(document_.paths)) {
      for (const [verb, operation] of Object.entries(operations)) {
        if (operation.tags.includes(tag.name)) calls.append(callOf(verb, path, operation));
      }
    }
  }
}

document.getElementById("open").addEventListener("submit", async (event) => {
  event.preventDefault();
  const refusal = document.getElementById("refusal");
  refusal.textContent = "";
  const answer = await fetch("/openapi.json", { headers: { "X-Admin-Token": document.getElementById("token").value } });
  const content = await answer.json();
  if (answer.ok) show(content);
  else refusal.textContent = content.detail;
});
