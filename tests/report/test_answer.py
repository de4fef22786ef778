import dataclasses

import answers
import numpy as np

from galore.report.answer import grouped


def test_insecurities_with_nearly_one_region_are_grouped_the_strongest_first(tmp_path):
    first = answers.answer(tmp_path).insecurities[0]

    def lit(columns: slice):
        region = np.zeros((90, 90), bool)
        region[:, columns] = True
        finding = dataclasses.replace(first.finding, packed=np.packbits(region, axis=-1))
        return dataclasses.replace(first, finding=finding)

    one, near, far, near_far = lit(slice(0, 30)), lit(slice(5, 32)), lit(slice(40, 72)), lit(slice(40, 64))
    assert grouped([one, far, near, near_far]) == [[one, near], [far, near_far]]
    assert grouped([]) == []
