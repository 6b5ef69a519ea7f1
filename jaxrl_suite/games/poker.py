"""Two small pokers: Kuhn's and Leduc."""

from typing import NamedTuple

from jaxrl_suite.games.rules import CHANCE, END

FOLD, CALL, RAISE = 0, 1, 2
PASS, BET = 0, 1


class KuhnState(NamedTuple):
    cards: tuple[int, ...] = ()
    bets: str = ""


class Kuhn:
    """Kuhn poker: cards J, Q, K, one each; ante 1, one bet of 1. Actions: 0 pass (or fold), 1 bet (or call)."""

    num_actions = 2

    def start(self) -> KuhnState:
        return KuhnState()

    def player(self, state: KuhnState) -> int:
        if len(state.cards) < 2:
            return CHANCE
        return END if state.bets in ("pp", "bp", "bb", "pbp", "pbb") else len(state.bets) % 2

    def chances(self, state: KuhnState) -> list[tuple[KuhnState, float]]:
        left = [card for card in range(3) if card not in state.cards]
        return [(KuhnState((*state.cards, card)), 1 / len(left)) for card in left]

    def actions(self, state: KuhnState) -> tuple[int, ...]:
        return PASS, BET

    def after(self, state: KuhnState, action: int) -> KuhnState:
        return state._replace(bets=state.bets + "pb"[action])

    def information(self, state: KuhnState) -> str:
        return "JQK"[state.cards[self.player(state)]] + state.bets

    def returns(self, state: KuhnState) -> tuple[float, float]:
        won = 1 if state.cards[0] > state.cards[1] else -1
        value = {"pp": won, "bp": 1, "bb": 2 * won, "pbp": -1, "pbb": 2 * won}[state.bets]
        return float(value), float(-value)


class LeducState(NamedTuple):
    cards: tuple[int, ...] = ()
    rounds: tuple[tuple[int, ...], ...] = ((),)
    """Actions of each betting round."""


class Leduc:
    """Leduc poker: J, Q, K in two suits, told apart; ante 1, a card each, bets of 2; a public card, bets of 4.

    Actions: 0 fold (only facing a raise), 1 call (or check), 2 raise (at most twice a round). Player 0 begins both.
    """

    num_actions = 3

    def start(self) -> LeducState:
        return LeducState()

    def player(self, state: LeducState) -> int:
        if len(state.cards) < 2:
            return CHANCE
        here = state.rounds[-1]
        if here and here[-1] == FOLD:
            return END
        if self._is_settled(here):
            return CHANCE if len(state.rounds) == 1 else END
        return len(here) % 2

    def chances(self, state: LeducState) -> list[tuple[LeducState, float]]:
        left = [card for card in range(6) if card not in state.cards]
        dealt = [state._replace(cards=(*state.cards, card)) for card in left]
        if len(state.cards) == 2:
            dealt = [after._replace(rounds=(*state.rounds, ())) for after in dealt]
        return [(after, 1 / len(left)) for after in dealt]

    def actions(self, state: LeducState) -> list[int]:
        here = state.rounds[-1]
        faces_raise = bool(here) and here[-1] == RAISE
        return [FOLD] * faces_raise + [CALL] + [RAISE] * (here.count(RAISE) < 2)

    def after(self, state: LeducState, action: int) -> LeducState:
        return state._replace(rounds=(*state.rounds[:-1], (*state.rounds[-1], action)))

    def information(self, state: LeducState) -> str:
        public = "".join(map(str, state.cards[2:]))
        rounds = "/".join("".join("fcr"[a] for a in actions) for actions in state.rounds)
        return f"{state.cards[self.player(state)]}{public and '|' + public}:{rounds}"

    def returns(self, state: LeducState) -> tuple[float, float]:
        paid = [1, 1]
        for size, actions in zip((2, 4), state.rounds, strict=False):
            for turn, action in enumerate(actions):
                if action != FOLD:
                    # A call matches what the other has paid, a raise adds to it.
                    paid[turn % 2] = paid[1 - turn % 2] + size * (action == RAISE)
        last = state.rounds[-1]
        if last[-1] == FOLD:
            loser = (len(last) - 1) % 2
            value = paid[loser] * (1 if loser == 1 else -1)
        else:
            strengths = [self._strength(state.cards[player], state.cards[2]) for player in (0, 1)]
            value = paid[0] * ((strengths[0] > strengths[1]) - (strengths[0] < strengths[1]))
        return float(value), float(-value)

    @staticmethod
    def _is_settled(actions: tuple[int, ...]) -> bool:
        return len(actions) >= 2 and actions[-1] == CALL

    @staticmethod
    def _strength(card: int, public: int) -> tuple[bool, int]:
        return card // 2 == public // 2, card // 2
