// Requests to the api, with the API key.

const KEY = "ecs-key";

export class KeyNeeded extends Error {}
export class Refused extends Error {}

export function keep(key) {
  sessionStorage.setItem(KEY, key);
}

// The answer to a GET of /api/…; throws KeyNeeded, Refused (with the api's own words) or a TypeError (no answer).
export async function ask(path, parameters = {}) {
  const query = new URLSearchParams(parameters);
  const key = sessionStorage.getItem(KEY);
  const answer = await fetch(`/api${path}${query.size ? `?${query}` : ""}`, {
    headers: key ? { "X-API-Key": key } : {},
    signal: AbortSignal.timeout(10000),
  });
  if (answer.status === 401) throw new KeyNeeded();
  if (!answer.ok) {
    const problem = await answer.json().catch(() => ({}));
    throw new Refused(problem.detail || `the api answered ${answer.status}`);
  }
  return answer.json();
}

export const idPath = (id) => encodeURIComponent(id);
