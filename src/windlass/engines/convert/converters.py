"""Table of converters by class name of scikit-learn, and of imbalanced-learn's pipeline."""

from __future__ import annotations

from windlass.engines.convert import skl2onnx_fallback
from windlass.engines.convert.compiler import Classify, Converters, Delegate, Regress, Transform
from windlass.engines.convert.estimators import (
    calibration,
    discretizing,
    distances,
    encoding,
    functions,
    gradient_boosting,
    imputing,
    knn_imputing,
    linear,
    naive_bayes,
    neighbors,
    pipelines,
    scaling,
    splines,
    svm,
    trees,
    voting,
)

_SEARCHES = (
    "GridSearchCV", "RandomizedSearchCV", "HalvingGridSearchCV", "HalvingRandomSearchCV",
    "FrozenEstimator",
)  # fmt: skip
_SELECTORS = (
    "GenericUnivariateSelect", "RFE", "RFECV", "SelectFdr", "SelectFpr", "SelectFromModel",
    "SelectFwe", "SelectKBest", "SelectPercentile", "SequentialFeatureSelector",
    "VarianceThreshold",
)  # fmt: skip
_CLUSTERINGS = ("BisectingKMeans", "KMeans", "MiniBatchKMeans")
_LINEAR = (
    "ARDRegression", "BayesianRidge", "ElasticNet", "ElasticNetCV", "HuberRegressor", "Lars",
    "LarsCV", "Lasso", "LassoCV", "LassoLars", "LassoLarsCV", "LassoLarsIC", "LinearRegression",
    "LinearSVR", "OrthogonalMatchingPursuit", "OrthogonalMatchingPursuitCV",
    "PassiveAggressiveRegressor", "QuantileRegressor", "Ridge", "RidgeCV", "SGDRegressor",
    "TheilSenRegressor",
)  # fmt: skip

DELEGATES: dict[str, Delegate] = {
    "Pipeline": pipelines.last_step,
    **dict.fromkeys(_SEARCHES, pipelines.inner_estimator),
}
TRANSFORMERS: dict[str, Transform] = {
    "Binarizer": discretizing.binarizer,
    "ColumnTransformer": pipelines.column_transformer,
    "FeatureUnion": pipelines.feature_union,
    "FunctionTransformer": functions.function_transformer,
    "KBinsDiscretizer": discretizing.k_bins_discretizer,
    "KNNImputer": knn_imputing.knn_imputer,
    "LinearDiscriminantAnalysis": scaling.linear_discriminants,
    "MaxAbsScaler": scaling.max_abs_scaler,
    "MinMaxScaler": scaling.min_max_scaler,
    "Normalizer": scaling.normalizer,
    "OneHotEncoder": encoding.encoder,
    "OrdinalEncoder": encoding.encoder,
    "PCA": scaling.pca,
    "PolynomialFeatures": functions.polynomial_features,
    "PowerTransformer": functions.power_transformer,
    "QuantileTransformer": discretizing.quantile_transformer,
    "RobustScaler": scaling.robust_scaler,
    "SimpleImputer": imputing.simple_imputer,
    "SplineTransformer": splines.spline_transformer,
    "StandardScaler": scaling.standard_scaler,
    "TargetEncoder": encoding.encoder,
    **dict.fromkeys(_CLUSTERINGS, distances.cluster_distances),
    **dict.fromkeys(_SELECTORS, pipelines.feature_selection),
}
CLASSIFIERS: dict[str, Classify] = {
    "AdaBoostClassifier": voting.ada_boost_classifier,
    "BaggingClassifier": voting.bagging_classifier,
    "BernoulliNB": naive_bayes.bernoulli,
    "CalibratedClassifierCV": calibration.calibrated_classifier,
    "CategoricalNB": naive_bayes.categorical,
    "ComplementNB": naive_bayes.complement,
    "DecisionTreeClassifier": trees.tree_classifier,
    "ExtraTreeClassifier": trees.tree_classifier,
    "ExtraTreesClassifier": trees.forest_classifier,
    "FixedThresholdClassifier": calibration.fixed_threshold,
    "GaussianNB": naive_bayes.gaussian,
    "GradientBoostingClassifier": gradient_boosting.boosting_classifier,
    "HistGradientBoostingClassifier": gradient_boosting.histogram_classifier,
    "KNeighborsClassifier": neighbors.neighbors_classifier,
    "LinearDiscriminantAnalysis": linear.logistic_regression,
    "LinearSVC": linear.linear_classifier,
    "LogisticRegression": linear.logistic_regression,
    "LogisticRegressionCV": linear.logistic_regression,
    "MultinomialNB": naive_bayes.multinomial,
    "NuSVC": svm.support_vector_classifier,
    "OneVsRestClassifier": voting.one_vs_rest_classifier,
    "QuadraticDiscriminantAnalysis": naive_bayes.quadratic_discriminant,
    "RandomForestClassifier": trees.forest_classifier,
    "RidgeClassifier": linear.linear_classifier,
    "RidgeClassifierCV": linear.linear_classifier,
    "SGDClassifier": linear.sgd_classifier,
    "SVC": svm.support_vector_classifier,
    "StackingClassifier": voting.stacking_classifier,
    "TunedThresholdClassifierCV": calibration.tuned_threshold,
    "VotingClassifier": voting.voting_classifier,
}
REGRESSORS: dict[str, Regress] = {
    "AdaBoostRegressor": voting.ada_boost_regressor,
    "BaggingRegressor": voting.bagging_regressor,
    "DecisionTreeRegressor": trees.tree_regressor,
    "ExtraTreeRegressor": trees.tree_regressor,
    "ExtraTreesRegressor": trees.forest_regressor,
    "GammaRegressor": linear.generalized_linear,
    "GradientBoostingRegressor": gradient_boosting.boosting_regressor,
    "HistGradientBoostingRegressor": gradient_boosting.histogram_regressor,
    "KNeighborsRegressor": neighbors.neighbors_regressor,
    "NuSVR": svm.support_vector_regressor,
    "PoissonRegressor": linear.generalized_linear,
    "RandomForestRegressor": trees.forest_regressor,
    "SVR": svm.support_vector_regressor,
    "StackingRegressor": voting.stacking_regressor,
    "TransformedTargetRegressor": pipelines.transformed_target,
    "TweedieRegressor": linear.generalized_linear,
    "VotingRegressor": voting.voting_regressor,
    **dict.fromkeys(_LINEAR, linear.linear_regression),
}
CONVERTERS = Converters(
    DELEGATES,
    TRANSFORMERS,
    CLASSIFIERS,
    REGRESSORS,
    skl2onnx_fallback.transform,
    skl2onnx_fallback.classify,
    skl2onnx_fallback.regress,
)
