from tests.known_answers.ledger import claimed, listed


def test_every_listed_answer_is_claimed_by_a_test():
    assert sorted(set(listed()) - set(claimed())) == []


def test_every_claim_is_listed():
    assert sorted(set(claimed()) - set(listed())) == []


def test_claims_are_made_by_tests():
    assert [name for names in claimed().values() for name in names if not name.startswith("test_")] == []
