"""Rules without a network, beside which a network's figures stand: if it does no better, it has learned nothing.

Used by notebooks 01 and 03 through their tasks.
"""

from collections.abc import Iterable

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from helpers import metrics
from helpers.datasets import Split
from helpers.estimates import Estimate


def mean_and_sd(images: Iterable[np.ndarray], split: Split) -> Estimate:
    """ROC AUC on the test set of a rule that knows two numbers a case: the mean and the spread of its grey values.

    Args:
        images: One array a case, as the network sees it.
        split: The rule is fitted on the training set only.

    Taught in notebook 01.
    """
    numbers = np.array([(image.mean(), image.std()) for image in images])
    labels = split.data.labels
    if len(set(labels[split.train])) < 2:
        return metrics.roc_auc(labels[split.test], np.zeros(len(split.test)))
    rule = make_pipeline(StandardScaler(), LogisticRegression()).fit(numbers[split.train], labels[split.train])
    return metrics.roc_auc(labels[split.test], rule.predict_proba(numbers[split.test])[:, 1])
