"""What the clients know: for everything they ever wrote, which states it may be in.

A write that was answered with success leaves one state. One that was not answered may or may not have happened, so it
leaves two, until it is repeated and answered, or read. What is read must be one of the states, or something that was
answered is gone, half done, or done twice.

A call that was not answered may also be done late, by a process that was frozen with it, and over what its own client
changed since. That is the client's doing, so clients leave alone what such a call was about until the fault is over.
"""


class Book:
    """One client's entries; only that client writes it, and the checks while clients pause."""

    def __init__(self, name):
        self.name = name
        self.states = {}
        self.touched = set()
        self.unanswered = set()
        self.acknowledged = 0

    def know(self, key, state):
        """Something that is certain from the beginning, such as what an answer brought."""
        self.states[key] = {state}
        self.touched.add(key)

    def sure(self, key):
        return len(self.states[key]) == 1

    def state(self, key):
        """The one state of a sure entry."""
        (state,) = self.states[key]
        return state

    def keys(self, kind, wanted=lambda state: True):
        """Entries of a kind in a wanted state that may be changed."""
        mine = [(k, s) for k, s in self.states.items() if k[0] == kind and len(s) == 1 and k not in self.unanswered]
        return [k for k, s in mine if wanted(next(iter(s)))]

    def intend(self, key, change):
        """A write is about to be sent. `change` maps a state to the one after, and doing it twice is doing it once."""
        self.states[key] = self.states[key] | {change(s) for s in self.states[key]}
        self.touched.add(key)

    def done(self, key, change):
        """It was answered with success."""
        self.states[key] = {change(s) for s in self.states[key]}

    def found(self, key, state):
        """What was read; says whether it may be so."""
        fits = state in self.states[key]
        # After a violation go on from what is there, so that it is reported once.
        self.states[key] = {state}
        return fits


class Ledger:
    def __init__(self):
        self.books = []

    def book(self, name):
        book = Book(name)
        self.books.append(book)
        return book

    def acknowledged(self):
        return sum(b.acknowledged for b in self.books)

    def entries(self):
        return sum(len(b.states) for b in self.books)

    def new_round(self):
        for book in self.books:
            book.touched.clear()

    def fault_is_over(self):
        for book in self.books:
            book.unanswered.clear()
