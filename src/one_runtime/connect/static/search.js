// Searches integrations by the typed text, in the same way as catalog/search.py. The Python file explains the
// searched texts. A test compares the results of both files.

const NOWHERE = 1000;

/** Returns the searched text of a row. Spaces separate words. Bars separate whole names without their spaces. */
export function searchedText(name, slug, category, description, aliases) {
  const folded = [name, slug, ...aliases].map(fold);
  const whole = folded.map((name) => name.replaceAll(" ", ""));
  return {
    name: folded[0],
    names: ` ${folded[0]} `,
    words: ` ${folded.slice(1).join(" ")} `,
    more: ` ${fold(`${category} ${description}`)} `,
    wholeName: `|${whole[0]}|${whole[1]}|`,
    whole: `|${whole.join("|")}|`,
  };
}

/**
 * @template {{ searchedText: ReturnType<typeof searchedText> }} Row
 * @param {Row[]} rows
 * @param {string} typed
 * @returns {Row[]} the matching rows, the best match first. Among equal matches, the shortest name is first.
 */
export function search(rows, typed) {
  const words = fold(typed.slice(0, 100)).split(" ").filter(Boolean);
  if (words.length === 0) return rows;
  const query = words.join("");
  const ranked = (rank) => rows.map((row) => ({ row, rank: rank(row.searchedText, query, words) })).filter((hit) => hit.rank < NOWHERE);
  let hits = ranked(rankOf);
  if (hits.length === 0) hits = ranked(slipRank);
  const byRank = (left, right) => left.rank - right.rank || left.row.searchedText.name.length - right.row.searchedText.name.length;
  return hits.sort((left, right) => byRank(left, right) || (left.row.searchedText.name < right.row.searchedText.name ? -1 : 1)).map((hit) => hit.row);
}

function fold(text) {
  return text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase().replace(/[^\p{L}\p{N}]+/gu, " ").trim();
}

function rankOf(texts, query, words) {
  const [exact, start] = [`|${query}|`, `|${query}`];
  if (!texts.whole.includes(start)) return 4 + sum(words, (word) => wordRank(texts, word));
  if (texts.whole.includes(exact)) return texts.wholeName.includes(exact) ? 0 : 1;
  return texts.wholeName.includes(start) ? 2 : 3;
}

function wordRank(texts, word) {
  const single = word.length > 4 && word.endsWith("s") ? word.slice(0, -1) : word;
  if (!texts.whole.includes(word)) return texts.more.includes(` ${single}`) ? 5 : NOWHERE;
  if (texts.names.includes(` ${word}`)) return texts.names.includes(` ${word} `) ? 0 : 1;
  if (texts.words.includes(` ${word}`)) return texts.words.includes(` ${word} `) ? 1 : 2;
  return 4;
}

function slipRank(texts, query, words) {
  if (beginsWithASlip(texts.whole.split("|"), query)) return 0;
  return sum(words, (word) => {
    const rank = wordRank(texts, word);
    if (rank < NOWHERE) return rank;
    return beginsWithASlip(`${texts.names}${texts.words}`.split(" "), word) ? 8 : NOWHERE;
  });
}

function beginsWithASlip(candidates, typed) {
  return typed.length >= 4 && candidates.some((candidate) => isSlip(candidate, typed));
}

// Returns true if `typed` is the beginning of the candidate with one mistake: one letter too many, one letter too few,
// one wrong letter, or two swapped letters.
function isSlip(candidate, typed) {
  if (candidate[0] !== typed[0]) return false;
  let at = 0;
  while (at < candidate.length && at < typed.length && candidate[at] === typed[at]) at += 1;
  if (at === candidate.length || at === typed.length) return at === candidate.length && candidate.length === typed.length - 1;
  const rest = candidate.slice(at);
  const typedRest = typed.slice(at);
  return (
    rest.slice(1).startsWith(typedRest.slice(1)) ||
    rest.slice(1).startsWith(typedRest) ||
    rest.startsWith(typedRest.slice(1)) ||
    (rest.length > 1 && rest[1] === typedRest[0] && rest[0] === typedRest[1] && rest.slice(2).startsWith(typedRest.slice(2)))
  );
}

function sum(words, rank) {
  return words.reduce((total, word) => total + rank(word), 0);
}
