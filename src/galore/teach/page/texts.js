// What the page says. Every condition reads the same words.
const list = (words) => words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words[words.length - 1]}`;

const minutes = (seconds) => (seconds < 90 ? "a minute" : `${Math.round(seconds / 60)} minutes`);

const SHARED = {
  unknownCode: "This code is unknown here. Please check it, or leave the field empty.",
  pictureProblem: "The picture did not load. Please reload the page; your answers so far are kept.",
  sending: "Sending …",
  sent: "Sent. Thank you!",
  notSent: "Sending failed. Please try again, or download the file and hand it in another way.",
  again: "Start over for another person? Please hand in this result first: it is erased from this device.",
  stop: "Stop, and erase all your answers from this device?",
  handIn: {
    send: "One click sends the file below, and nothing else.",
    download: "Download the file and give it to the person who invited you.",
  },
};

const TEXTS = {
  teach: ({ subject, labels: [a, b], sizes }) => ({
    ...SHARED,
    title: `Can you learn to tell two kinds of ${subject} apart?`,
    welcome: [
      `You will see two kinds of ${subject} that look much alike: ${a} and ${b}. Nobody expects you to know them. It takes about ${minutes(7 * (sizes.before + sizes.after) + 20 * sizes.pairs)}.`,
      [
        `A first try: ${sizes.before} pictures. Mostly you will guess, and that is fine.`,
        `Learning: ${sizes.pairs} pictures. After each answer you are told whether it was right. After a mistake you see what to look at.`,
        `A last try: ${sizes.after} new pictures.`,
      ],
    ],
    phase: { before: "First try", training: "Learning", after: "Last try" },
    intro: {
      before: { title: "First try", text: ({ of }) => [`${of} pictures. Is each one ${a} or ${b}? If you have no idea, say so. You will not be told yet which answers are right.`] },
      training: { title: "Now you learn", text: ({ of }) => [`${of} pictures. After each answer you are told whether it was right.`, `After a mistake you see the picture again, beside one of the other kind. Compare the places that are lit, and look for what is different there.`] },
      after: { title: "Last try", text: ({ of }) => [`${of} pictures that you have not seen before, as in the first try. Use what you have learnt.`] },
    },
    question: `${a} or ${b}?`,
    picture: "Picture",
    unsure: "Don’t know",
    unsureKey: "d",
    right: (kind) => `Right, this is ${kind}`,
    wrong: (kind, given) => (given === "?" ? `This is ${kind}` : `No, this is ${kind}`),
    yours: (kind) => `Your picture, ${kind}`,
    other: (kind) => `Another, ${kind}`,
    explanation: (kind, other, marks) => {
      const named = marks.length ? ` Look at ${list(marks.map(({ name, number }) => `the ${name}${number ? `\u00a0(${number})` : ""}`))}.` : "";
      return `Compare it with one of ${other}: what is different in the lit places?${named}`;
    },
    finish: {
      title: "Done – thank you!",
      working: "Working out your result …",
      names: ([first, second]) => `${a} was ${first}, ${b} was ${second}.`,
    },
  }),
  agree: ({ subject, labels: [a, b], sizes }) => ({
    ...SHARED,
    title: "How much can you tell from a small piece?",
    welcome: [
      `You will see ${sizes.trials} small pieces of pictures of ${subject}. Each belongs to one of two kinds, ${a} or ${b}, and you see examples of both beside it. The two kinds can change from piece to piece.`,
      `Say ${a}, ${b}, or that the piece does not tell. Often it does not, and then that is the right thing to say. It takes about ${minutes(8 * sizes.trials)}.`,
    ],
    phase: { agree: "Pieces" },
    intro: { agree: { title: "Look at the piece", text: ({ of }) => [`${of} pieces. Beside each are examples of ${a} and ${b}. To which of the two does the piece belong?`] } },
    question: `Does this piece belong to ${a} or ${b}?`,
    picture: "Piece",
    unsure: "Cannot tell",
    unsureKey: "c",
    finish: { title: "Done – thank you!", text: "All your answers are kept. What many people answer is compared with where a computer hesitates." },
  }),
};
