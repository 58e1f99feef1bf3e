// The AI SDK in front of guard: streamText with a tool, and the corrections that arrive on the way.
//
// The SDK hands on reasoning and text as they come. guard's own word rides on an ordinary chunk in a field that the SDK
// does not know; `includeRawChunks` shows it.

import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const baseURL = process.env.GUARD_URL ?? "http://127.0.0.1:8900/v1";
const model = process.env.GUARD_MODEL ?? "shop";
const guard = createOpenAICompatible({ name: "guard", baseURL, apiKey: process.env.GUARD_API_KEY ?? "unused" });

const price = tool({
  description: "The price of one thing, in cents.",
  inputSchema: z.object({ item: z.string() }),
  execute: async ({ item }) => ({ sticker: 25 })[item] ?? "unknown",
});

const { fullStream } = streamText({
  model: guard(model),
  prompt: "What do 48 stickers cost?",
  tools: { price },
  stopWhen: stepCountIs(5),
  includeRawChunks: true,
  onError: () => {}, // an error is a part of the stream too, and handled there
});

// `span` counts the characters (code points, not UTF-16 units) of a channel in one response; each step is a response.
const heard = { reasoning: "", content: "" };
const spoken = (channel, [start, end]) => [...(heard[channel] ?? "")].slice(start, end).join("").trim();

for await (const part of fullStream) {
  switch (part.type) {
    case "start-step":
      heard.reasoning = heard.content = "";
      break;
    case "reasoning-delta":
      heard.reasoning += part.text;
      break;
    case "text-delta":
      heard.content += part.text;
      break;
    case "tool-result":
      console.log(`tool:      ${part.toolName}(${JSON.stringify(part.input)}) -> ${part.output}`);
      break;
    case "raw":
      if (part.rawValue.guard) {
        const { event, channel, span, reason } = part.rawValue.guard;
        console.log(`guard:     ${event} of "${spoken(channel, span)}": ${reason}`);
      }
      break;
    case "error":
      console.error(`no answer from ${baseURL}: ${part.error.message}`);
      process.exit(1);
  }
}
console.log(`reasoning: ${heard.reasoning}`);
console.log(`answer:    ${heard.content}`);
